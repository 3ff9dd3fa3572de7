"""``python -m roadmap effects`` and ``predict``. Fitting libraries are imported when needed."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from roadmap.console import (
    DATA_NAME,
    Column,
    Format,
    FormatOption,
    RunsOption,
    emit,
    fail,
    find_roadmap,
    number_column,
    read_config,
)
from roadmap.runs import read_runs
from roadmap.study.design import read_design
from roadmap.study.space import StudyError
from roadmap.text import data_title
from roadmap.train.picture_command import classify

if TYPE_CHECKING:
    from roadmap.study.effects import Effects, EffectSettings
    from roadmap.study.experiment import Experiment
    from roadmap.study.speed import Speed

#: Parameters of ``predict`` that apply to pictures.
OF_PICTURES = ("pictures", "weights", "step", "image_size", "device", "form")
DesignOption = Annotated[
    Path | None,
    typer.Option(
        "--design",
        help="File of the design [default: the one in results/designs with the most runs].",
        metavar="FILE",
    ),
]
RateOption = Annotated[
    float | None,
    typer.Option(
        "--lr",
        help="Learning rate to compare at [default: the middle one trained].",
        metavar="RATE",
    ),
]
EpochsOption = Annotated[
    float | None,
    typer.Option(
        "--epochs",
        help="Number of epochs to compare at [default: the most trained].",
        metavar="N",
    ),
]
SettingOption = Annotated[
    list[str] | None,
    typer.Option(
        "--setting",
        help="Setting to compare with, such as init=trunc_normal; may be repeated.",
        metavar="NAME=LEVEL",
    ),
]


def effects(
    data: Annotated[str, DATA_NAME],
    design: DesignOption = None,
    lr: RateOption = None,
    epochs: EpochsOption = None,
    setting: SettingOption = None,
    runs: RunsOption = None,
    form: FormatOption = Format.table,
    save_model: Annotated[
        Path | None,
        typer.Option(
            "--save-model", help="Save the fitted model to this JSON file.", metavar="FILE"
        ),
    ] = None,
) -> None:
    """Estimate what each change is worth, from a designed experiment.

    Each change is estimated alone, in the paper's place, averaged over all orders, and at each
    network's best learning rate, with the number of epochs from which it pays.
    """
    try:
        experiment = _experiment(data, design, runs)
        from roadmap.study.effects import Effects
        from roadmap.study.rows import effect_rows

        found = Effects(experiment.model, _settings(lr, epochs, setting))
        rows = effect_rows(found)
        if save_model is not None:
            _save(experiment, save_model)
    except StudyError as error:
        fail(str(error))
    _print(rows, found, experiment, form)


def predict(
    context: typer.Context,
    pictures: Annotated[
        list[Path] | None,
        typer.Argument(metavar="PATH", hidden=True),
    ] = None,
    weights: Annotated[
        str | None,
        typer.Option(
            "--weights",
            help="Classify pictures with these weights: a file, the folder of a run, or a name in "
            "timm, as for train.",
            metavar="FILE|NAME",
        ),
    ] = None,
    image_size: Annotated[
        int | None,
        typer.Option(
            "--image-size",
            help="Size of pictures in pixels [default: the test size of the weights' recipe].",
            metavar="N",
        ),
    ] = None,
    device: Annotated[
        str | None,
        typer.Option(
            "--device",
            help="cuda, mps or cpu, for pictures [default: fastest available].",
            metavar="NAME",
        ),
    ] = None,
    data: Annotated[str | None, DATA_NAME] = None,
    step: Annotated[
        str | None,
        typer.Option(
            "--step",
            help="Predict for the network of this step; for pictures: the step of weights that do "
            "not record their network.",
            metavar="KEY",
        ),
    ] = None,
    config: Annotated[
        Path | None,
        typer.Option("--config", help="Predict for the config in this JSON file.", metavar="FILE"),
    ] = None,
    level: Annotated[
        list[str] | None,
        typer.Option(
            "--level",
            help="Predict for the start with this change, such as gelu=on; may be repeated.",
            metavar="NAME=LEVEL",
        ),
    ] = None,
    best: Annotated[
        bool, typer.Option("--best", help="Find the network with the highest prediction.")
    ] = False,
    max_gflops: Annotated[
        float | None,
        typer.Option("--max-gflops", help="Limit on GFLOPs, with --best.", min=0, metavar="X"),
    ] = None,
    max_parameters: Annotated[
        float | None,
        typer.Option(
            "--max-parameters",
            help="Limit on parameters, in millions, with --best.",
            min=0,
            metavar="X",
        ),
    ] = None,
    max_minutes: Annotated[
        float | None,
        typer.Option(
            "--max-minutes",
            help="Limit on the time of training, in minutes, with --best.",
            min=0,
            metavar="X",
        ),
    ] = None,
    design: DesignOption = None,
    lr: Annotated[
        float | None,
        typer.Option(
            "--lr", help="Learning rate [default: the best one for the network].", metavar="RATE"
        ),
    ] = None,
    epochs: EpochsOption = None,
    setting: SettingOption = None,
    runs: RunsOption = None,
    form: FormatOption = Format.table,
) -> None:
    """Predict the top-1 of a combination, or classify pictures.

    The top-1 of a combination that was not trained is predicted from the runs of a designed
    experiment. Combinations that the design does not cover are refused.

    With --weights, each PATH is a picture or a folder of pictures, and the five most probable
    classes of each picture are listed.

    Exit codes: 0 predicted; 1 some pictures could not be read; 2 refused.
    """
    if pictures or weights is not None:
        for option in context.command.params:
            if option.name not in OF_PICTURES and _is_given(context, option):
                fail(
                    f"{option.opts[0]} does not apply to pictures: omit it, or omit PATH and "
                    "--weights"
                )
        classify(pictures or [], weights, step, image_size, device, form)
        return
    for name, value in (("--image-size", image_size), ("--device", device)):
        if value is not None:
            fail(f"{name} only applies to pictures: add PATH and --weights, or omit it.")
    if data is None:
        fail(
            "add --data NAME to predict the top-1 of a network, or PATH and --weights to classify "
            "pictures."
        )
    asked = [step is not None, config is not None, bool(level), best]
    if sum(asked) != 1:
        fail("select one network: use one of --step, --config, --level and --best.")
    limits = (max_gflops, max_parameters and 1e6 * max_parameters, max_minutes)
    if any(limits) and not best:
        fail(
            "--max-gflops, --max-parameters and --max-minutes only apply to --best: add it, or "
            "omit them."
        )
    try:
        experiment = _experiment(data, design, runs)
        from roadmap.study.atlas import Limits
        from roadmap.study.effects import Effects
        from roadmap.study.rows import best_levels, prediction_row

        found = Effects(experiment.model, _settings(lr, epochs, setting))
        speed = _speed(experiment, needed=max_minutes is not None)
        if best:
            levels = best_levels(found, Limits(*limits), own_rate=lr is None, speed=speed)
        else:
            levels = _levels(found, step, config, level or ())
        row = prediction_row(found, levels, own_rate=lr is None, speed=speed)
        best_rate = row["lr"] if lr is None and found.has_best_rate else None
    except StudyError as error:
        fail(str(error))
    from roadmap.study import text

    columns = [
        Column("network", "network"),
        number_column("top1", "top-1 %", 1),
        number_column("low", "from", 1),
        number_column("high", "to", 1),
        Column("lr", "lr", lambda value: "-" if value is None else f"{value:.2g}", right=True),
        number_column("gflops", "GFLOPs"),
        number_column("parameters", "parameters M", 1, 1e6),
        *([number_column("minutes", "minutes", 1)] if speed else []),
    ]
    notes = [
        f"Predicted for one run on {data_title(data)}, with its 95% interval: "
        f"{text.conditions_of_one(found, levels, best_rate)}.",
        *([text.timing(speed, found.epochs)] if speed else []),
        *text.basis(experiment, found, best_rate),
    ]
    emit([row], columns, form, "", notes)


def _is_given(context: typer.Context, option: Any) -> bool:
    source = context.get_parameter_source(option.name)
    return source is not None and source.name != "DEFAULT"


def _experiment(data: str, design: Path | None, folder: Path | None) -> Experiment:
    from roadmap.study import experiment as found

    runs = found.of_data(read_runs(folder).points, data)
    if not runs:
        raise StudyError(
            f"no run of a design was trained on data named {data[:60]!r}; train one with "
            "`python -m roadmap sweep --design FILE --data PATH`"
        )
    known = found.designs()
    chosen = found.choose_design(known, runs) if design is None else read_design(design)
    return found.open_experiment(chosen, runs, known)


def _speed(experiment: Experiment, *, needed: bool) -> Speed | None:
    """Return the training speed, or None if it cannot be estimated and is not ``needed``."""
    from roadmap.study.speed import fit_speed

    try:
        return fit_speed(experiment.design, experiment.runs)
    except StudyError:
        if needed:
            raise
        return None


def _settings(
    lr: float | None, epochs: float | None, given: Sequence[str] | None
) -> EffectSettings:
    from roadmap.study.effects import EffectSettings

    return EffectSettings(_pairs(given or (), "--setting", "init=trunc_normal"), lr, epochs)


def _pairs(given: Sequence[str], option: str, example: str) -> dict[str, str]:
    found = {}
    for text in given:
        name, sign, key = text.partition("=")
        if not sign:
            raise StudyError(f"{option} is {text[:60]!r}; use NAME=LEVEL, such as {example}")
        found[name] = key
    return found


def _levels(
    effects: Effects, step: str | None, config: Path | None, given: Sequence[str]
) -> dict[str, str]:
    """Return the requested combination; a network sets only the factors that its config has."""
    space = effects.space
    if config is not None:
        return effects.start | _of_network(space, space.levels_of(read_config(config)))
    if step is not None:
        roadmap = find_roadmap(space.roadmap)
        if step not in roadmap.keys:
            from models.text import unknown_name

            raise StudyError(unknown_name(f"step of {roadmap.name}", step, roadmap.keys))
        return effects.start | _of_network(space, space.step_levels(step))
    pairs = _pairs(given, "--level", "gelu=on")
    return effects.start | effects.checked(pairs)


def _of_network(space: Any, levels: dict[str, str]) -> dict[str, str]:
    return {name: key for name, key in levels.items() if name in space.network_factors}


def _save(experiment: Experiment, path: Path) -> None:
    try:
        experiment.model.save(path)
    except OSError as error:
        fail(f"{path} cannot be written: {error.strerror}")


def _print(
    rows: list[dict[str, Any]], found: Effects, experiment: Experiment, form: Format
) -> None:
    if form is not Format.table:
        emit(rows, (), form)
        return
    from roadmap.study import text

    worths = {view: found.worth(view) for view in found.views}
    shown = [
        {
            "title": row["title"],
            "pays": _pays(row["pays_from_epochs"]),
            **{view: text.short(w[i].effect, w[i].verdict) for view, w in worths.items()},
        }
        for i, row in enumerate(rows)
    ]
    columns = [
        Column("title", "change"),
        *(Column(view, view, right=True) for view in found.views),
        Column("pays", "pays from epoch", right=True),
    ]
    strongest = found.interactions()[: text.SHOWN_INTERACTIONS]
    notes = [
        text.summary(found.worth("in place"), data_title(experiment.model.data)),
        *text.basis(experiment, found),
        *(["Strongest interactions:"] if strongest else []),
        *(f"  {text.interaction(one)}" for one in strongest),
    ]
    if found.has_best_rate:
        notes.insert(0, "Own rate: in place, but each network at its own best learning rate.")
    emit(shown, columns, form, f"Points of top-1: {text.conditions(found)}", notes)


def _pays(epochs: float | None) -> str:
    return "not in the trained range" if epochs is None else f"{epochs:g}"
