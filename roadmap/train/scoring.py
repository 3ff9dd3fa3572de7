"""Scores of a weights file from any source."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from models.config import ConfigError, ModelConfig
from models.files import WeightsFileError, network_of, read_weights
from models.text import ended, shortened
from models.weights import check_weights
from models.weights.checkpoints import with_bare_keys
from roadmap.device import memory_explained, prepare_device
from roadmap.errors import NonFiniteError, RefusedError, TrainingError
from roadmap.measure.networks import UnknownNetworkError, build, check, config_of, described
from roadmap.runs.record import as_names, data_conventions
from roadmap.train.data.batches import DataError, open_data
from roadmap.train.data.class_names import ClassNamesError, label_names, quoted
from roadmap.train.data.sources import open_source
from roadmap.train.data.split import Source
from roadmap.train.evaluate import BATCH_SIZE, evaluate
from roadmap.train.settings import scoring_view


def score_file(
    path: Path,
    data_path: str | None,
    *,
    model: str | None = None,
    image_size: int | None = None,
    device: str | None = None,
    precision: str = "float32",
    batch_size: int = BATCH_SIZE,
    workers: int | None = None,
    by_index: bool = False,
    say: Callable[[str], None] = lambda _sentence: None,
) -> dict[str, Any]:
    """Score the weights in ``path`` on the validation images of ``data_path``, as one row.

    ``model`` names the network (``SOURCE:NAME``) if the file does not. ``image_size`` changes the
    crop, and the resize in proportion. Images are rotated by their EXIF orientation tag if the
    weights were trained that way. Classes are matched by name; with ``by_index``, output i is
    class i of the data, whatever the names. Notes on the data go to ``say``; the row's ``part`` is
    the name of the state dict in a checkpoint with several. Raises
    ``RefusedError``, ``NonFiniteError`` for a loss that is not finite, and another
    ``TrainingError`` for images that cannot be read.
    """
    try:
        tensors, config, facts = read_weights(path)
    except WeightsFileError as error:
        raise RefusedError(str(error)) from None
    recipe = scoring_view(facts, image_size, shortened(path))
    place = prepare_device(device)
    notes: list[str] = []
    try:
        source = open_source(data_path)
        if source.taken:
            notes.append(f"scoring on {source.taken[1]}")
        notes += source.notes
        part = facts.get("part") if config is None else None
        if part:
            notes.append(f"scoring the weights named {part} in {shortened(path)}")
        matched = "by index"
        if not by_index:
            names = _class_names(path, facts, len(source.class_names))
            source, matched = _matched(path, names, source, notes)
        data = open_data(
            source,
            recipe,
            device=place,
            seed=0,
            workers=workers,
            exif_orientation=data_conventions(facts.get("data")).exif_orientation,
        )
    except DataError as error:
        raise RefusedError(str(error)) from None
    classes = data.info.num_classes
    if model is not None:
        try:
            options = {"num_classes": classes, "in_channels": data.info.channels}
            network = _named(model, path, tensors, **options)
        except RefusedError as error:
            if config is None:
                raise
            held = described(config, facts)
            raise RefusedError(
                f"{ended(error)} According to its config, the file holds {held}: omit the "
                "network's name to score that"
            ) from None
    elif config is not None:
        network = _ours(config, path, tensors)
    else:
        raise RefusedError(
            f"{shortened(path)} does not record its network: add --model SOURCE:NAME, such as "
            "timm:convnext_tiny, or --step KEY"
        )
    if config is not None and model is None and config.num_classes != classes:
        raise RefusedError(
            f"{shortened(path)} has {config.num_classes} classes, but {data.info.name} has "
            f"{classes}"
        )
    for note in notes:
        say(note)
    try:
        with memory_explained(
            f"{batch_size} images of {recipe.test_size} pixels do not fit into memory: use a "
            "smaller --batch-size"
        ):
            scores = evaluate(network.to(place), data, precision=precision, batch_size=batch_size)
    except DataError as error:
        raise TrainingError(str(data.all_damaged(error))) from None
    if scores.loss is None:
        raise NonFiniteError(
            f"the validation loss of {shortened(path)} on {data.info.name} is not finite, so there "
            "are no scores: the network's outputs overflow. Use weights from before training "
            "diverged, or --precision float32 instead of bf16"
        )
    return {
        "weights": str(path),
        "part": part,
        "network": model or (config and described(config, facts)),
        "data": data.info.name,
        "data_sha256": data.info.sha256,
        "val_split": data.info.splits[1],
        "classes": matched,
        "num_classes": classes,
        "test_size": recipe.test_size,
        "test_resize": recipe.test_resize,
        **scores._asdict(),
    }


def _class_names(path: Path, facts: Mapping[str, Any], classes: int) -> list[str] | None:
    """Return the class names in the file, or those beside it if their number is ``classes``."""
    beside = label_names(path) or []
    return as_names(facts.get("class_names")) or (beside if len(beside) == classes else None)


def _matched(
    path: Path, names: list[str] | None, source: Source, notes: list[str]
) -> tuple[Source, str]:
    """Match the network's outputs to the classes; return the reordered set, and how it was done.
    Raises ``RefusedError`` if the names differ."""
    name = source.name
    if names is None or not source.named:
        notes.append(
            f"{path if names is None else name} has no class names, so they cannot be compared: "
            f"assuming that output 0 is class 0 of {name} ({quoted(source.class_names[:1])}), and "
            "so on"
        )
        return source, "not checked"
    try:
        found = source.ordered(names, str(path))
    except ClassNamesError as error:
        renamed = " If these are the same classes in the same order, only renamed, add --by-index"
        more = renamed if len(names) == len(source.class_names) else ""
        raise RefusedError(f"{ended(error)}{more}") from None
    if found is source:
        return source, "same names"
    notes.append(f"{name} and {path} have the classes in different orders: matched by name")
    return found, "matched by name"


def _ours(config: ModelConfig, path: Path, tensors: dict[str, Tensor]) -> nn.Module:
    try:
        return network_of(tensors, config)
    except ValueError as error:
        raise RefusedError(f"{shortened(path)}: {error}") from None


def _named(name: str, path: Path, tensors: dict[str, Tensor], **options: int) -> nn.Module:
    """Return our network of that name with converted weights, or a library's with its own."""
    try:
        check(name)
        config = config_of(name)
    except UnknownNetworkError as error:
        raise RefusedError(str(error)) from None
    if config is not None:
        try:
            return _ours(config.replace(**options), path, tensors)
        except ConfigError as error:
            raise RefusedError(str(error)) from None
    options.pop("in_channels")
    network = build(name, **options)
    like = network.state_dict()
    try:
        if tensors.keys() != like.keys():
            tensors = with_bare_keys(tensors)
        real = {key for key, value in like.items() if value.is_floating_point()}
        check_weights({key: value for key, value in tensors.items() if key in real})
        network.load_state_dict(tensors)
    except ValueError as error:
        raise RefusedError(f"{shortened(path)}: {error}") from None
    except RuntimeError as error:
        first = shortened(str(error).splitlines()[1].strip())
        raise RefusedError(f"{shortened(path)}: these weights do not fit {name}: {first}") from None
    return network
