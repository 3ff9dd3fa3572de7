"""The model card of a published run: data, recipe, seeds, scores, and how to load it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from statistics import fmean, stdev
from typing import Any

from huggingface_hub import EvalResult, ModelCard, ModelCardData

from models.config import ModelConfig
from roadmap.export.publication import Publication
from roadmap.measure.complexity import count
from roadmap.runs import Run
from roadmap.steps import ROADMAPS
from roadmap.text import duration, number

PAPER = "https://arxiv.org/abs/2201.03545"
USE = """With the code of *Modernizing a ResNet*:

```python
import models

network = models.load("model.safetensors")  # with its config; in evaluation mode
```

With timm, which knows the name once `models` is imported, from the hub or from this folder:

```python
import models, timm

network = timm.create_model("hf-hub:USER/NAME", pretrained=True).eval()
network = timm.create_model("local-dir:FOLDER", pretrained=True).eval()
settings = timm.data.resolve_data_config(model=network)
transform = timm.data.create_transform(**settings, is_training=False)
```

To run it with PyTorch or onnxruntime alone, make a program of it:
`python -m roadmap export --weights model.safetensors --format pt2`, or `onnx`."""


def model_card(published: Publication, config: ModelConfig) -> str:
    """The text of README.md, with the header in YAML that the hub reads."""
    run = published.run
    parts = [
        f"# {published.architecture}, trained on {run.data}",
        _about(run, config),
        "## Scores",
        *_scores(published),
        "## Data",
        _data(run),
        "## Recipe",
        *_recipe(run),
        "## Use",
        USE,
        "## Licence",
        "The publisher of these weights states their licence, as `license` in the header.",
    ]
    header = _header(published).to_yaml()
    return str(ModelCard(f"---\n{header}\n---\n\n" + "\n\n".join(parts) + "\n"))


def _header(published: Publication) -> ModelCardData:
    run = published.run
    result = EvalResult(
        task_type="image-classification",
        dataset_type=run.data,
        dataset_name=run.data,
        dataset_split="validation",
        metric_type="accuracy",
        metric_name="top-1 accuracy, percent",
        metric_value=round(run.scores[published.measure], 3),
    )
    return ModelCardData(
        library_name="timm",
        pipeline_tag="image-classification",
        tags=["image-classification", "timm", "arxiv:2201.03545"],
        model_name=published.architecture,
        eval_results=[result],
    )


def _about(run: Run, config: ModelConfig) -> str:
    roadmap = ROADMAPS[run.roadmap]
    step = roadmap.step(run.step)
    cost = count(config, run.recipe["test_size"])
    scale = "" if run.scale == "full" else f" The network is small: scale {run.scale}."
    return (
        f"The step *{step.title}* (`{step.key}`, {roadmap.keys.index(step.key) + 1} of "
        f"{len(roadmap.steps)}) on the roadmap *{roadmap.title}*. {step.why}{scale}\n\n"
        f"{number(cost.parameters / 1e6, 1)} million parameters, "
        f"{cost.macs / 1e9:.3g} GFLOPs (multiply-adds) for an image of "
        f"{run.recipe['test_size']} pixels. Built by *Modernizing a ResNet*, after "
        f"[A ConvNet for the 2020s]({PAPER}) (Liu et al. 2022)."
    )


def _scores(published: Publication) -> list[str]:
    run, measure = published.run, published.measure
    names = [measure, measure.replace("top1", "top5"), measure.replace("top1", "val_loss")]
    rows = [
        [
            f"{each.seed}, these weights" if each is run else str(each.seed),
            *(number(each.scores.get(name), 2) for name in names[:2]),
            number(each.scores.get(names[2]), 4),
        ]
        for each in published.runs
    ]
    weights = "the weights after the last epoch"
    if measure == "ema_top1":
        weights = "the moving average of the weights after the last epoch"
    recipe = run.recipe
    return [
        f"Of {weights}, on the {run.val_images:,} validation images: shorter side resized to "
        f"{recipe['test_resize']} pixels ({recipe['interpolation']}), the central "
        f"{recipe['test_size']} pixels.",
        _table(["seed", "top-1 %", "top-5 %", "loss"], rows),
        _spread([each.scores[measure] for each in published.runs]),
    ]


def _spread(top1: Sequence[float]) -> str:
    if len(top1) == 1:
        return "One seed was trained: how far another one's score lies is not known."
    return (
        f"Top-1 over {len(top1)} seeds: mean {number(fmean(top1), 2)}%, standard deviation "
        f"{number(stdev(top1), 2)}."
    )


def _data(run: Run) -> str:
    text = (
        f"{run.data}: {run.classes:,} classes, {run.train_images:,} training images and "
        f"{run.val_images:,} validation images."
    )
    return f"{text} SHA-256 `{run.data_sha256}`." if run.data_sha256 else text


def _recipe(run: Run) -> list[str]:
    name = f"`{run.recipe_name}`" if run.recipe_name else "the step's own"
    machine = f"{run.processes} × {run.device}" if run.processes > 1 else run.device
    compiled = ", compiled" if run.compiled else ""
    versions = ", ".join(f"{package} {version}" for package, version in run.versions.items())
    return [
        f"The recipe is {name}, with the run's own changes. Trained for "
        f"{duration(run.seconds)} on {machine} in {run.precision}{compiled}; ended on {run.date}; "
        f"{versions}.",
        _table(["field", "value"], [[f"`{key}`", _value(v)] for key, v in run.recipe.items()]),
    ]


def _value(value: Any) -> str:
    if value is None:
        return "none"
    return ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
