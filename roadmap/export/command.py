"""``python -m roadmap export``. Torch comes in only once the options are right."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from models.config import ModelConfig
from models.text import said
from roadmap.console import fail, find_keys, find_roadmap, read_config
from roadmap.export.formats import save, verdict
from roadmap.steps import ROADMAPS
from roadmap.train.settings import MOST_SEED

if TYPE_CHECKING:
    from roadmap.export.publication import Publication
    from roadmap.export.subject import Subject

#: Of ``--step`` where none is named.
ROADMAP = "resnet50"


class Form(str, Enum):
    """What ``--format`` takes: the formats of one file, and a folder."""

    py = "py"
    safetensors = "safetensors"
    onnx = "onnx"
    pt2 = "pt2"
    hub = "hub"


def export(
    form: Annotated[
        Form,
        typer.Option(
            "--format",
            help="py: Python code. safetensors: weights. onnx. pt2: torch.export's program. "
            "hub: a run as a folder for the Hugging Face hub.",
        ),
    ],
    roadmap: Annotated[
        str | None,
        typer.Option(
            "--roadmap",
            help=f"The step's: one of {', '.join(ROADMAPS)} [default: {ROADMAP}].",
            metavar="NAME",
        ),
    ] = None,
    step: Annotated[
        str | None, typer.Option("--step", help="One step's key.", metavar="KEY")
    ] = None,
    config: Annotated[
        Path | None, typer.Option("--config", help="A config's JSON file.", metavar="FILE")
    ] = None,
    weights: Annotated[
        Path | None,
        typer.Option(
            "--weights",
            help="A safetensors file, or one of torch.save (.pth, .bin); ours or, with --step, "
            "timm's [default: fresh weights].",
            metavar="FILE",
        ),
    ] = None,
    run: Annotated[
        Path | None,
        typer.Option("--run", help="A finished run's folder: its weights.", metavar="DIR"),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", help="The file, or the folder for hub [default: named after the step]."
        ),
    ] = None,
    force: Annotated[
        bool, typer.Option("--force", help="Replace what is there under that name.")
    ] = False,
    license_name: Annotated[
        str | None,
        typer.Option(
            "--license",
            help="Of hub's weights, by the hub's name: apache-2.0, cc-by-4.0, ...",
            metavar="NAME",
        ),
    ] = None,
    seed: Annotated[
        int | None,
        typer.Option("--seed", min=0, max=MOST_SEED, help="Seed of fresh weights [default: 0]."),
    ] = None,
    num_classes: Annotated[
        int | None, typer.Option("--num-classes", min=0, help="0: features, no classifier.")
    ] = None,
    image_size: Annotated[
        int | None,
        typer.Option(
            "--image-size",
            min=1,
            max=4096,
            help="Pixels, of the programs and the check [default: the recipe's, or 224].",
        ),
    ] = None,
) -> None:
    """Write a network as a file, checked before it is written.

    The check: the file computes what the network does.
    A Python file has no weights; the others have the config in them too. pt2 and onnx take any
    number of images.
    """
    _check_options(form, step=step, config=config, weights=weights, run=run, seed=seed)
    if roadmap is not None and step is None:
        fail("--roadmap is of a step: add --step KEY, or leave --roadmap out.")
    roadmap = roadmap or ROADMAP
    if form is Form.hub and (num_classes, image_size) != (None, None):
        fail("hub takes both from the run: leave --num-classes and --image-size out.")
    _check_license(license_name, form)
    asked = _asked(roadmap, step, config)
    path = output or _default_path(form, _name(roadmap, step, run or config or weights))
    try:
        published = _publication(run, weights)
        source = published.weights if published else weights
        if source is not None and path.resolve() == source.resolve():
            fail(f"{path} is the file that the weights are in: name another with --output.")
        _check_path(path, form, force)
        facts: dict[str, Any] = {"roadmap": roadmap, "step": step} if step else {}
        if published:
            facts["seed"] = published.run.seed
        subject = _subject(source, asked, facts, seed, num_classes, image_size)
        if form is Form.hub and published:
            _write_hub(path, subject, published, license_name)
        else:
            _write(form, path, subject)
    except ValueError as error:
        text = str(error)
        fail(text if text.endswith((".", "?")) else f"{text}.")


def _check_options(form: Form, *, seed: int | None, **sources: Any) -> None:
    given = [f"--{name}" for name in ("step", "config", "run") if sources[name] is not None]
    if len(given) > 1:
        fail(f"{' and '.join(given)} each name a network: leave all but one out.")
    if not given and sources["weights"] is None:
        fail("Say what to export: --step KEY, --config FILE, --weights FILE or --run DIR.")
    if form is Form.hub and sources["run"] is None:
        fail("hub takes a finished run, whose data, recipe and scores its card states: add --run.")
    if seed is not None and (sources["weights"] or sources["run"]):
        fail("--seed draws fresh weights, and there are others: leave it out.")


def _check_license(license_name: str | None, form: Form) -> None:
    if license_name is None:
        return
    if form is not Form.hub:
        fail("--license goes into hub's model card: leave it out.")
    if not re.fullmatch(r"[a-z0-9][a-z0-9.+-]*", license_name):
        fail(f"--license is {said(license_name)}; use the hub's name of it, such as apache-2.0.")


def _asked(roadmap: str, step: str | None, config: Path | None) -> ModelConfig | None:
    """The config that the options name."""
    found = find_roadmap(roadmap)
    if step is not None:
        find_keys(found, step)
        return found.config(step)
    return None if config is None else read_config(config)


def _publication(run: Path | None, weights: Path | None) -> Publication | None:
    if run is None:
        return None
    from roadmap.export.publication import publication

    return publication(run, weights)


def _name(roadmap: str, step: str | None, path: Path | None) -> str:
    """Of the step, or else of the file or folder that the network comes from."""
    return path.resolve().stem if path and not step else f"{roadmap}_{step}"


def _default_path(form: Form, name: str) -> Path:
    """In the current folder, a name that Python can import."""
    return Path(name.replace("-", "_") + ("" if form is Form.hub else f".{form.value}"))


def _check_path(path: Path, form: Form, force: bool) -> None:
    """Refuse, before anything is computed, what cannot be written or would be lost."""
    try:
        if form is not Form.hub and path.is_dir():
            fail(f"{path} is a folder: name the file in it.")
        empty = path.is_dir() and not any(path.iterdir())
        if path.exists() and not (empty or force):
            fail(f"{path} is there already: name another with --output, or replace it by --force.")
        places = (path, *path.absolute().parents) if path.is_dir() else path.absolute().parents
        tempfile.TemporaryFile(dir=next(each for each in places if each.exists())).close()
    except OSError as error:
        fail(f"{path} cannot be written: {error.strerror}.")


def _subject(
    source: Path | None,
    asked: ModelConfig | None,
    facts: Mapping[str, Any],
    seed: int | None,
    num_classes: int | None,
    image_size: int | None,
) -> Subject:
    from roadmap.export.subject import fresh, from_file

    if source is not None:
        return from_file(source, asked, num_classes, image_size, facts)
    assert asked is not None  # one of the two was given
    if num_classes is not None:
        asked = asked.replace(num_classes=num_classes)
    return fresh(asked, seed or 0, image_size, facts)


def _write(form: Form, path: Path, subject: Subject) -> None:
    with _writing(path):
        largest = save(form.value, subject.network, path, subject.facts, subject.image_size)
    typer.echo(f"{path}: {_content(form, subject)}.")
    typer.echo(verdict(form.value, largest))


def _write_hub(
    path: Path, subject: Subject, published: Publication, license_name: str | None
) -> None:
    from roadmap.export.card import NO_LICENSE
    from roadmap.export.hub import CARD, save_hub

    with _writing(path):
        checked = save_hub(published, subject.network, path, subject.facts, license_name)
    typer.echo(
        f"{path}: {subject.origin} with the config, the network in Python, config.json for timm "
        "and a model card."
    )
    for form, largest in checked.items():
        typer.echo(verdict(form, largest))
    typer.echo(f"hf upload USER/NAME {path} publishes it.")
    if license_name is None:
        typer.echo(f"{path / CARD}: {NO_LICENSE}")


@contextmanager
def _writing(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        fail(f"{path} cannot be written: {error.strerror}.")


def _content(form: Form, subject: Subject) -> str:
    config, size = subject.network.config, subject.image_size
    if form is Form.py:
        return "the network in Python; there are no weights in it"
    text = f"{subject.origin} with the config"
    if form in (Form.onnx, Form.pt2):
        output = f"{config.num_classes} logits" if config.num_classes else "features"
        text += f"; any number of {config.in_channels} x {size} x {size} images to {output}"
    return text
