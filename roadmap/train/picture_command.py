"""``python -m roadmap predict PATH...``: the classes of pictures. Torch is imported when needed."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import typer

from roadmap.console import Column, Format, emit, fail, find_keys, find_roadmap, note, number_column
from roadmap.text import counted
from roadmap.train.options import sentences
from roadmap.train.settings import Start


def classify(
    paths: Sequence[Path],
    weights: str | None,
    step: str | None,
    image_size: int | None,
    device: str | None,
    form: Format,
) -> None:
    """Print the most probable classes of the pictures in ``paths``.

    Exits with code 1 if some could not be read, and with code 2 if the command is refused.
    """
    if weights is None:
        fail("add --weights FILE, the weights to classify the pictures with")
    if not paths:
        fail("add PATH, a picture or a folder of pictures to classify with --weights")
    network = None
    if step is not None:
        roadmap = find_roadmap("resnet50")
        find_keys(roadmap, step)
        network = roadmap.config(step)
    with sentences():
        from roadmap.train.pictures import classify as classified

        rows, failed = classified(
            paths,
            Start(weights=weights, network=network),
            image_size=image_size,
            device=device,
            say=note,
        )
    columns = [
        Column("picture", "picture"),
        number_column("rank", "rank", 0),
        Column("description", "class"),
        number_column("probability", "probability %", 1, 0.01),
    ]
    if rows or form is not Format.table:
        emit(rows, columns, form)
    if failed:
        typer.echo(f"Error: {counted(failed, 'picture')} could not be read.", err=True)
        raise typer.Exit(1)
