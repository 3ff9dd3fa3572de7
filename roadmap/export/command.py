"""``python -m roadmap export``. Torch is imported once the options are valid."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from models.config import ModelConfig
from models.text import said
from roadmap.console import fail, find_keys, find_roadmap, read_config
from roadmap.export.formats import check_text, save
from roadmap.steps import ROADMAPS
from roadmap.train.settings import MOST_SEED

if TYPE_CHECKING:
    from roadmap.export.publication import Publication
    from roadmap.export.subject import Subject

#: Default roadmap of ``--step``.
ROADMAP = "resnet50"
#: Values of ``--format``.
Form = Literal["py", "safetensors", "onnx", "pt2", "hub"]


def export(
    form: Annotated[
        Form,
        typer.Option(
            "--format",
            help="py: Python code. safetensors: weights. onnx: an ONNX graph. pt2: a "
            "torch.export program. hub: a finished run as a folder for the Hugging Face Hub.",
        ),
    ],
    roadmap: Annotated[
        str | None,
        typer.Option(
            "--roadmap",
            help=f"Roadmap of --step: one of {', '.join(ROADMAPS)} [default: {ROADMAP}].",
            metavar="NAME",
        ),
    ] = None,
    step: Annotated[
        str | None, typer.Option("--step", help="Key of a step.", metavar="KEY")
    ] = None,
    config: Annotated[
        Path | None, typer.Option("--config", help="JSON file of a config.", metavar="FILE")
    ] = None,
    weights: Annotated[
        Path | None,
        typer.Option(
            "--weights",
            help="A safetensors or torch.save file (.pth, .bin), from this project or, with "
            "--step, from timm [default: random initial weights].",
            metavar="FILE",
        ),
    ] = None,
    run: Annotated[
        Path | None,
        typer.Option(
            "--run", help="Folder of a finished run to export the weights of.", metavar="DIR"
        ),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            help="Output file, or folder for hub [default: named after the step].",
            metavar="PATH",
        ),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Overwrite existing output.")] = False,
    license_name: Annotated[
        str | None,
        typer.Option(
            "--license",
            help="License of the weights for hub, such as apache-2.0 or cc-by-4.0.",
            metavar="NAME",
        ),
    ] = None,
    seed: Annotated[
        int | None,
        typer.Option(
            "--seed",
            min=0,
            max=MOST_SEED,
            help="Seed of random initial weights [default: 0].",
            metavar="N",
        ),
    ] = None,
    num_classes: Annotated[
        int | None,
        typer.Option(
            "--num-classes",
            min=0,
            help="Number of classes; 0: output features, no classifier.",
            metavar="N",
        ),
    ] = None,
    image_size: Annotated[
        int | None,
        typer.Option(
            "--image-size",
            min=1,
            max=4096,
            help="Image size of programs and of the check, in pixels [default: the recipe's, or "
            "224].",
            metavar="N",
        ),
    ] = None,
) -> None:
    """Export a network to a file and check its outputs.

    The check compares the outputs of the file with those of the network. A Python file has no
    weights; all other formats include weights and config. pt2 and onnx accept any number of images.
    """
    _check_options(form, step=step, config=config, weights=weights, run=run, seed=seed)
    if roadmap is not None and step is None:
        fail("--roadmap only applies to a step: add --step KEY, or omit --roadmap.")
    roadmap = roadmap or ROADMAP
    if form == "hub" and (num_classes, image_size) != (None, None):
        fail("--format hub uses the run's values: omit --num-classes and --image-size.")
    _check_license(license_name, form)
    asked = _asked(roadmap, step, config)
    path = output or _default_path(form, _name(roadmap, step, run or config or weights))
    try:
        published = _publication(run, weights)
        source = published.weights if published else weights
        if source is not None and path.resolve() == source.resolve():
            fail(f"{path} is the weights file itself: use another --output.")
        _check_path(path, form, force)
        facts: dict[str, Any] = {"roadmap": roadmap, "step": step} if step else {}
        if published:
            facts["seed"] = published.run.seed
        subject = _subject(source, asked, facts, seed, num_classes, image_size)
        if form == "hub" and published:
            _write_hub(path, subject, published, license_name)
        else:
            _write(form, path, subject)
    except ValueError as error:
        fail(str(error))


def _check_options(form: Form, *, seed: int | None, **sources: Any) -> None:
    given = [f"--{name}" for name in ("step", "config", "run") if sources[name] is not None]
    if len(given) > 1:
        fail(f"{' and '.join(given)} each select a network; use only one of them.")
    if not given and sources["weights"] is None:
        fail("Nothing to export; use --step KEY, --config FILE, --weights FILE or --run DIR.")
    if form == "hub" and sources["run"] is None:
        fail("--format hub needs a finished run, for its model card: add --run DIR.")
    if seed is not None and (sources["weights"] or sources["run"]):
        fail("--seed is for random initial weights, but weights are given: omit it.")


def _check_license(license_name: str | None, form: Form) -> None:
    if license_name is None:
        return
    if form != "hub":
        fail("--license is for the model card of --format hub: omit it.")
    if not re.fullmatch(r"[a-z0-9][a-z0-9.+-]*", license_name):
        fail(f"--license is {said(license_name)}; use the hub's identifier, such as apache-2.0.")


def _asked(roadmap: str, step: str | None, config: Path | None) -> ModelConfig | None:
    """Return the config that the options select."""
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
    """Return the name of the step, or of the file or folder of the network."""
    return path.resolve().stem if path and not step else f"{roadmap}_{step}"


def _default_path(form: Form, name: str) -> Path:
    """Return a file name in the current folder that Python can import."""
    return Path(name.replace("-", "_") + ("" if form == "hub" else f".{form}"))


def _check_path(path: Path, form: Form, force: bool) -> None:
    """Refuse an output that cannot be written or exists, before anything is computed."""
    try:
        if form != "hub" and path.is_dir():
            fail(f"{path} is a folder; use a file name.")
        empty = path.is_dir() and not any(path.iterdir())
        if path.exists() and not (empty or force):
            fail(f"{path} already exists: use another --output, or overwrite it with --force.")
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
    assert asked is not None  # checked by _check_options
    if num_classes is not None:
        asked = asked.replace(num_classes=num_classes)
    return fresh(asked, seed or 0, image_size, facts)


def _write(form: Form, path: Path, subject: Subject) -> None:
    with _writing(path):
        largest = save(form, subject.network, path, subject.facts, subject.image_size)
    typer.echo(f"{path}: {_content(form, subject)}.")
    typer.echo(check_text(form, largest))


def _write_hub(
    path: Path, subject: Subject, published: Publication, license_name: str | None
) -> None:
    from roadmap.export.card import NO_LICENSE
    from roadmap.export.hub import CARD, save_hub

    with _writing(path):
        checked = save_hub(published, subject.network, path, subject.facts, license_name)
    typer.echo(
        f"{path}: {subject.origin}, config, Python code of the network, config.json for timm and "
        "model card."
    )
    for form, largest in checked.items():
        typer.echo(check_text(form, largest))
    typer.echo(f"Publish it with: hf upload USER/NAME {path}")
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
    if form == "py":
        return "Python code of the network, without weights"
    text = f"{subject.origin} with the config"
    if form in ("onnx", "pt2"):
        output = f"{config.num_classes} logits" if config.num_classes else "features"
        images = f"{config.in_channels} x {size} x {size} images"
        text += f"; takes any number of {images} and returns {output}"
    return text
