"""Write the designs of docs/experiment.md to results/designs.

    python benchmarks/designs.py

The seed is fixed, so the files are the same each time. ``roadmap sweep --design FILE`` trains them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from roadmap.steps import ROADMAPS
from roadmap.study import factors
from roadmap.study.design import DESIGNS, Design, Point, read_design
from roadmap.study.effects import Effects, EffectSettings
from roadmap.study.model import Model, read_model
from roadmap.study.optimal import optimal_design
from roadmap.study.space import Factor, Space, pocket_space, roadmap_space
from roadmap.study.terms import crossed
from roadmap.tables.results import RESULTS
from roadmap.train.pocket import pocket_recipe

ROADMAP = ROADMAPS["resnet50"]
COMMON = factors.LIGHT | {"batch_size": 512, "layer_scale": None}
SIZES = {
    128: {"train_size": 128, "test_size": 128, "test_resize": 146},
    96: {"train_size": 96, "test_size": 96, "test_resize": 110},
}
#: 2.5 times the multiply-adds of the start; otherwise, dense convolutions in wide inverted blocks
#: would cost a hundred times as much.
MAX_GMACS = 9.0
RATES = (0.0007, 0.002, 0.0056)
EPOCHS = (10, 20, 40)
#: Epochs of the ends of the path in the confirmation.
LONGEST = 120
#: Steps that are not the paper's.
BEYOND = ("global_response_norm", "no_layer_scale")
#: Interactions besides those of learning rate, epochs and augmentation with everything.
INTERACTIONS = (
    ("fewer_activations", "init"),
    ("fewer_norms", "init"),
    ("layer_norm", "init"),
    ("layer_scale", "init"),
    ("fewer_activations", "fewer_norms"),
    ("fewer_norms", "layer_norm"),
    ("layer_norm", "separate_downsampling"),
    ("separate_downsampling", "layer_scale"),
    ("increase_width", "inverted_bottleneck"),
    ("move_up_depthwise", "kernel_size"),
)


def main() -> None:
    DESIGNS.mkdir(exist_ok=True)
    for design in (init_check(), size_check(), small_data(), confirmation(), digits()):
        path = DESIGNS / f"{design.name}.json"
        design.save(path)
        print(f"{path.name}: {len(design.points)} runs")


def init_check() -> Design:
    """The last five steps under PyTorch's initialization, at two learning rates."""
    steps = ("gelu", "fewer_activations", "fewer_norms", "layer_norm", "separate_downsampling")
    space = _space(128, (factors.learning_rate([2e-3, 4e-3]),), _length(30))
    points = [
        _step(space, f"{key}-lr{rate}", key, {"init": "default", "lr": rate})
        for rate in space.factor("lr").keys
        for key in steps
    ]
    return Design(name="init_check", space=space, points=tuple(points))


def size_check() -> Design:
    """Steps that show whether 96 pixels give the same order as 128."""
    space = _space(96, (factors.learning_rate([2e-3, 4e-3]),), _length(30))
    points = [
        _step(space, f"{key}-96px", key, {"init": "default", "lr": "0.002"})
        for key in ("training", "gelu", "fewer_norms", "separate_downsampling")
    ]
    return Design(name="size_check", space=space, points=tuple(points))


def small_data() -> Design:
    """The main study, on 96 pixels."""
    settings = (
        factors.learning_rate(RATES),
        factors.epochs(EPOCHS),
        factors.augmentation(),
    )
    space = _space(96, settings, {}, max_gmacs=MAX_GMACS)
    pairs = crossed(space, INTERACTIONS)
    return optimal_design("small_data", space, pairs, runs=128, replicates=12, held_out=24, seed=1)


def confirmation() -> Design:
    """The adopted steps at the learning rates that the saved model of ``small_data`` gives them.

    Each is trained briefly and for long with two seeds, the ends for longer than the study.
    """
    study = read_design(DESIGNS / "small_data.json")
    model = read_model(RESULTS / "models" / "small_data.json", study)
    skipped = ("baseline", *BEYOND)
    steps = [step.key for step in ROADMAP.steps if step.adopted and step.key not in skipped]
    ends = (steps[0], steps[-1])
    cells = [(LONGEST, step) for step in ends]
    cells += [(EPOCHS[0], step) for step in steps]
    cells += [(EPOCHS[-1], step) for step in steps if step not in ends]
    rates = {cell: _best_rate(model, *cell) for cell in cells}
    settings = (
        factors.learning_rate(sorted(set(rates.values()))),
        factors.epochs((EPOCHS[0], EPOCHS[-1], LONGEST)),
        factors.augmentation(),
    )
    space = _space(96, settings, {}, max_gmacs=MAX_GMACS)
    points = []
    for (epochs, step), rate in rates.items():
        levels = {"lr": f"{rate:g}", "epochs": str(epochs), "augmentation": "mild"}
        first, second = (_step(space, f"{step}-{epochs}-{x}", step, levels) for x in "ab")
        points += [first, replace(second, seed=1)]
    return Design(name="confirmation", space=space, points=tuple(points))


def _best_rate(model: Model, epochs: int, step: str) -> float:
    """Return the best rate of a step, to two digits, at ``epochs`` or the most that was trained."""
    settings = EffectSettings(epochs=min(epochs, EPOCHS[-1]))
    levels = model.design.space.step_levels(step) | {"augmentation": "mild"}
    rate = Effects(model, settings).best_rate(levels)
    assert rate is not None
    return float(f"{rate:.1e}")


def digits() -> Design:
    """A small study for a laptop: pocket networks on the handwritten digits."""
    settings = (factors.learning_rate((1e-3, 3e-3, 9e-3)), factors.epochs((5, 10, 20)))
    recipe = pocket_recipe(ROADMAP.recipe("training")).replace(**COMMON | {"batch_size": 64})
    space = pocket_space(
        roadmap_space(
            ROADMAP,
            (factors.layer_scale(), factors.initialization(), *settings),
            skip=("kernel_5", "kernel_9", "kernel_11", *BEYOND),
            recipe=vars(recipe),
        )
    )
    pairs = [(f.name, "lr") for f in space.factors if f.name not in ("lr", "epochs")]
    pairs += [("lr", "epochs"), ("fewer_norms", "init"), ("separate_downsampling", "layer_scale")]
    return optimal_design("digits", space, pairs, runs=64, replicates=8, held_out=12, seed=1)


def _space(
    side: int,
    settings: Sequence[Factor],
    recipe: Mapping[str, Any],
    max_gmacs: float | None = None,
) -> Space:
    return roadmap_space(
        ROADMAP,
        (factors.layer_scale(), factors.initialization(), *settings),
        skip=BEYOND,
        recipe=COMMON | SIZES[side] | dict(recipe),
        max_gmacs=max_gmacs,
    )


def _length(epochs: int) -> dict[str, int]:
    return {"epochs": epochs, "warmup_epochs": epochs // factors.EPOCHS_PER_WARMUP}


def _step(space: Space, key: str, step: str, settings: Mapping[str, str]) -> Point:
    levels = space.step_levels(step) | settings
    return Point(key=key, role="confirmation", levels=levels)


if __name__ == "__main__":
    main()
