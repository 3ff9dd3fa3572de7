"""The model card of a published run: data, recipe, seeds, scores, and how to load it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from statistics import fmean, stdev
from typing import Any

from huggingface_hub import EvalResult, ModelCard, ModelCardData

from models.config import ModelConfig
from roadmap.export.publication import Publication
from roadmap.export.recipe import changed_fields
from roadmap.measure.complexity import count
from roadmap.runs import Run, StepRun
from roadmap.steps import ROADMAPS
from roadmap.text import duration, number
from roadmap.train.data.augment import MEAN, STD
from roadmap.train.data.class_names import quoted
from roadmap.train.data.split import TEST_NAMES
from roadmap.train.settings import ALWAYS_TOP5

#: Source of the networks, and of those with global response normalization.
PAPER = ("2201.03545", "A ConvNet for the 2020s", "Liu et al. 2022")
PAPER_V2 = (
    "2301.00808",
    "ConvNeXt V2: Co-designing and Scaling ConvNets with Masked Autoencoders",
    "Woo et al. 2023",
)
USE = """With PyTorch and safetensors, in this folder (`hf download USER/NAME --local-dir FOLDER`
downloads it); `network.py` only needs PyTorch:

```python
import torch
from safetensors.torch import load_file

from network import Network

network = Network().eval()
network.load_state_dict(load_file("model.safetensors"))
with torch.inference_mode():
    logits = network(torch.zeros(1, {channels}, {size}, {size}))  # (images, {classes})
```

Images are RGB from 0 to 1, resized and cropped as above, and normalized with mean {mean} and
standard deviation {std} per channel.

With timm and *Modernizing a ResNet*, from the hub or from this folder; importing
`roadmap.timm_models` registers the network in timm:

```python
import timm

import roadmap.timm_models

network = timm.create_model("hf-hub:USER/NAME", pretrained=True).eval()
network = timm.create_model("local-dir:FOLDER", pretrained=True).eval()
settings = timm.data.resolve_data_config(model=network)
transform = timm.data.create_transform(**settings, is_training=False)
```

With `models` of *Modernizing a ResNet*:

```python
import models

network = models.load("model.safetensors")  # with its config; in evaluation mode
```

To create a program for onnxruntime, run
`python -m roadmap export --weights model.safetensors --format onnx`; for `torch.export.load`, use
`--format pt2`."""
#: File with one class per line, as timm's ``--class-map`` reads it.
CLASS_MAP = "class_map.txt"
#: Number of classes that the card names.
FEW = 5
NO_LICENSE = (
    "No license is stated, so it is unclear how the weights may be used. Before publishing, add "
    "`license: NAME` to the header, or export again with `--license NAME --force`."
)


def model_card(
    published: Publication,
    config: ModelConfig,
    license_name: str | None = None,
    class_names: Sequence[str] | None = None,
    mapped: bool = False,
) -> str:
    """Return the text of README.md, with the YAML header that the hub reads.

    ``license_name`` is the hub's identifier, such as apache-2.0; if it is None, the card says that
    no license is stated. ``mapped`` says whether the folder has a class map.
    """
    run = published.run
    parts = [
        f"# {published.architecture}, trained on {run.data}",
        _about(run, config),
        "## Scores",
        *_scores(published),
        "## Data",
        _data(run),
        "## Classes",
        _classes(class_names, mapped),
        "## Recipe",
        *_recipe(run),
        "## Use",
        _use(run, config),
        "## License",
        f"The weights are licensed under `{license_name}`." if license_name else NO_LICENSE,
    ]
    header = _header(published, config, license_name).to_yaml()
    return str(ModelCard(f"---\n{header}\n---\n\n" + "\n\n".join(parts) + "\n"))


def _header(published: Publication, config: ModelConfig, license_name: str | None) -> ModelCardData:
    run = published.run
    result = EvalResult(
        task_type="image-classification",
        dataset_type=run.data,
        dataset_name=run.data,
        dataset_split=_split(run),
        metric_type="accuracy",
        metric_name="top-1 accuracy, percent",
        metric_value=round(published.score(run), 3),
    )
    return ModelCardData(
        license=license_name,
        library_name="timm",
        pipeline_tag="image-classification",
        tags=["image-classification", "timm", *(f"arxiv:{paper[0]}" for paper in _papers(config))],
        model_name=published.architecture,
        eval_results=[result],
    )


def _papers(config: ModelConfig) -> tuple[tuple[str, str, str], ...]:
    return (PAPER, PAPER_V2) if config.response_norm else (PAPER,)


def _about(run: StepRun, config: ModelConfig) -> str:
    roadmap = ROADMAPS[run.roadmap]
    step = roadmap.step(run.step)
    cost = count(config, run.recipe["test_size"])
    scale = "" if run.scale == "full" else f" The network is a small version ({run.scale} scale)."
    papers = " and ".join(
        f"[{title}](https://arxiv.org/abs/{paper}) ({authors})"
        for paper, title, authors in _papers(config)
    )
    return (
        f"The step *{step.title}* (`{step.key}`, {roadmap.keys.index(step.key) + 1} of "
        f"{len(roadmap.steps)}) on the roadmap *{roadmap.title}*. {step.why}{scale}\n\n"
        f"{number(cost.parameters / 1e6, 1)} million parameters, "
        f"{cost.macs / 1e9:.3g} GFLOPs (multiply-adds) per image of "
        f"{run.recipe['test_size']} pixels. Built with *Modernizing a ResNet*, based on {papers}."
    )


def _scores(published: Publication) -> list[str]:
    run, measure = published.run, published.measure
    top = {"top-1 %": measure, "top-5 %": measure.replace("top1", "top5")}
    if run.classes <= ALWAYS_TOP5:
        del top["top-5 %"]
    loss = measure.replace("top1", "val_loss")
    rows = [
        [
            f"{each.seed}, these weights" if each is run else str(each.seed),
            *(number(each.scores.get(name), 2) for name in top.values()),
            number(each.scores.get(loss), 4),
        ]
        for each in published.runs
    ]
    weights = "the weights after the last epoch"
    if measure == "ema_top1":
        weights = "the moving average of the weights after the last epoch"
    recipe = run.recipe
    turned = "rotated by their EXIF orientation tag, " if run.exif_orientation else ""
    return [
        f"Scores of {weights} on the {run.val_images:,} {_split(run)} images. Images are {turned}"
        f"resized to {recipe['test_resize']} pixels on the shorter side "
        f"({recipe['interpolation']}) and center-cropped to {recipe['test_size']} pixels.",
        _table(["seed", *top, "loss"], rows),
        _spread([published.score(each) for each in published.runs]),
    ]


def _split(run: Run) -> str:
    """Return the kind of images that the scores are from."""
    return "test" if run.val_split.lower() in TEST_NAMES else "validation"


def _spread(top1: Sequence[float]) -> str:
    if len(top1) == 1:
        return "Only one seed was trained, so the variation between seeds is unknown."
    return (
        f"Top-1 over {len(top1)} seeds: mean {number(fmean(top1), 2)}%, standard deviation "
        f"{number(stdev(top1), 2)}."
    )


def _data(run: Run) -> str:
    text = (
        f"{run.data}: {run.classes:,} classes, {run.train_images:,} training images and "
        f"{run.val_images:,} {_split(run)} images."
    )
    return f"{text} SHA-256 `{run.data_sha256}`." if run.data_sha256 else text


def _classes(names: Sequence[str] | None, mapped: bool) -> str:
    if names is None:
        return "The weights record no class names; the outputs are in the order of the labels."
    shown = ", ".join(f"{place} is {quoted([name])}" for place, name in enumerate(names[:FEW]))
    text = f"Of the {len(names):,} outputs, {shown}{', and so on' if len(names) > FEW else ''}. "
    if not mapped:
        return text + "`label_names` in `config.json` lists all classes in order."
    return (
        f"{text}`{CLASS_MAP}` (one class per line) and `label_names` in `config.json` list all "
        "classes in order. Libraries sort class folders differently: torchvision by code point "
        "(10 before 2, Z before a), timm naturally (2 before 10, a before Z). For a folder of "
        "images, pass timm the order of the outputs:\n\n"
        "```\npython -m roadmap timm validate.py --data-dir DATA --model local-dir:FOLDER "
        f"--pretrained --class-map FOLDER/{CLASS_MAP}\n```"
    )


def _recipe(run: StepRun) -> list[str]:
    name = f"`{run.recipe_name}`" if run.recipe_name else "the step's own"
    changes = [
        f"`{field}` {_value(here)} instead of {_value(there)}"
        for field, (there, here) in changed_fields(run).items()
    ]
    changed = f"with changes: {', '.join(changes)}" if changes else "unchanged"
    machine = f"{run.processes} × {run.device}" if run.processes > 1 else run.device
    compiled = ", compiled" if run.compiled else ""
    versions = ", ".join(f"{package} {version}" for package, version in run.versions.items())
    return [
        f"The recipe is {name}, {changed}. Trained for "
        f"{duration(run.seconds)} on {machine} in {run.precision}{compiled}, until {run.date}, "
        f"with {versions}.",
        _table(["field", "value"], [[f"`{key}`", _value(v)] for key, v in run.recipe.items()]),
    ]


def _use(run: Run, config: ModelConfig) -> str:
    return USE.format(
        channels=config.in_channels,
        size=run.recipe["test_size"],
        classes=config.num_classes,
        mean=_value(MEAN),
        std=_value(STD),
    )


def _value(value: Any) -> str:
    if value is None:
        return "none"
    return ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
