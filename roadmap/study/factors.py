"""The training settings that a study varies besides the steps of a roadmap. Imports no torch."""

from __future__ import annotations

from collections.abc import Sequence

from roadmap.study.space import Factor, Level
from roadmap.text import scientific

#: Epochs of training per epoch of warm-up, as in the runs of docs/experiment.md.
EPOCHS_PER_WARMUP = 15
LIGHT = {"mixup": 0.0, "cutmix": 0.0, "auto_augment": "none", "random_erasing": 0.0}
LIGHT |= {"stochastic_depth": 0.0}
MILD = {"mixup": 0.2, "cutmix": 0.0, "auto_augment": "rand-m5-mstd0.5-inc1"}
MILD |= {"random_erasing": 0.1, "stochastic_depth": 0.1}


def learning_rate(values: Sequence[float]) -> Factor:
    """Return the factor of peak learning rates, for the recipe's batch size."""
    levels = tuple(
        Level(key=f"{v:g}", title=f"Learning rate {v:g}", recipe={"lr": v}, value=v) for v in values
    )
    return Factor(
        name="lr", title="Learning rate", levels=levels, kind="setting", scale=_log2(levels)
    )


def epochs(values: Sequence[int]) -> Factor:
    """Return the factor of training lengths in epochs, with proportional warm-up."""
    levels = tuple(
        Level(
            key=str(value),
            title=f"{value} epochs",
            recipe={
                "epochs": value,
                "warmup_epochs": min(max(1, round(value / EPOCHS_PER_WARMUP)), value - 1),
            },
            value=value,
        )
        for value in values
    )
    return Factor(name="epochs", title="Epochs", levels=levels, kind="setting", scale=_log2(levels))


def _log2(levels: Sequence[Level]) -> str | None:
    return "log2" if len(levels) > 2 else None


def augmentation() -> Factor:
    """Return the factor of augmentation, ``light`` or ``mild``.

    ``light`` is crops and flips. ``mild`` adds Mixup 0.2, RandAugment of magnitude 5, random
    erasing 0.1 and stochastic depth 0.1, much less than in Table 5 of Liu et al. 2022.
    """
    levels = (
        Level(key="light", title="Light augmentation", recipe=LIGHT),
        Level(key="mild", title="Mild augmentation", recipe=MILD),
    )
    return Factor(name="augmentation", title="Mild augmentation", levels=levels, kind="setting")


def layer_scale(value: float = 1e-6) -> Factor:
    """Return the factor of layer scale, none or initialized to ``value``."""
    title = f"Layer scale {scientific(value)}"
    levels = (
        Level(key="none", title="No layer scale", config={"layer_scale": None}),
        Level(key=f"{value:g}", title=title, config={"layer_scale": value}),
    )
    return Factor(name="layer_scale", title=title, levels=levels, kind="setting")


def initialization() -> Factor:
    """Return the factor of initialization: PyTorch's default, or truncated normal (std 0.02)."""
    levels = (
        Level(key="default", title="PyTorch's initialization", config={"init": "default"}),
        Level(
            key="trunc_normal",
            title="Truncated normal 0.02 initialization",
            config={"init": "trunc_normal"},
        ),
    )
    return Factor(
        name="init", title="Truncated normal 0.02 initialization", levels=levels, kind="setting"
    )
