"""Choose what to train, on which data, and start it in the background."""

from __future__ import annotations

from collections.abc import Container
from html import escape
from pathlib import Path
from statistics import fmean

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from models.text import said
from roadmap.runs import Runs
from roadmap.steps import ROADMAPS
from roadmap.sweep import background
from roadmap.sweep.background import Task
from roadmap.text import counted, duration
from roadmap.train.data.downloads import DOWNLOADS
from roadmap.train.data.sources import PREFIXES
from roadmap.train.pocket import EPOCHS, IMAGE_SIZE
from roadmap.views.common import address, all_runs, experiments, markup, press, small_data
from roadmap.views.common.bounds import known
from roadmap.views.common.controls import choice, select, titled
from roadmap.views.common.number_field import number_field
from roadmap.views.training import starting

#: What to train; the first one is the default, since a single step has nothing to compare with.
KINDS = {
    "change": "One change",
    "run": "One step",
    "sweep": "Every step",
    "study": "The study's steps",
}
#: Besides ``DOWNLOADS``: a folder or a name as in ``--data``, and the digits.
OWN, DIGITS = "own", "digits"
DATA = {name: f"{one.title}, {one.size / 1e6:.0f} MB" for name, one in DOWNLOADS.items()}
DATA |= {OWN: "Your own images", DIGITS: "Digits, only to try out"}
MOST_EPOCHS, MOST_SEED, MOST_SEEDS = 300, 9999, 10
FOLDER_HELP = (
    "A folder with train/CLASS/*.jpg and val/CLASS/*.jpg or with parquet files, or a name such as "
    "hfds/USER/SET on the Hugging Face hub."
)


def show(found: Runs, last: Task | None, shown: Container[str]) -> None:
    """Show the form, filled with the task started ``last``; the page already has the cautions
    ``shown``."""
    roadmap, problem = address.option(st.query_params, "roadmap", tuple(ROADMAPS))
    if problem:
        st.html(markup.notice(problem))
    _remember(roadmap, last)
    first_values = {"seeds": 3, "epochs": EPOCHS, "data": next(iter(DATA))}
    for name, value in first_values.items():
        st.session_state.setdefault(f"training-{name}", value)
    with _row("training-what"):
        kind = choice("training", "kind", "Train", _kinds(roadmap, last))
        source, problem = _source(kind == "study")
    with _row("training-start"):
        st.session_state.setdefault("training-seed", _new_seed(found, source))
        if kind == "study":
            task = background.study_task(source or "")
        else:
            titles = {name: ROADMAPS[name].title for name in ROADMAPS}
            select("training", "roadmap", "Roadmap", titles, roadmap, width=260)
            task, wrong = _task(roadmap, kind, source)
            problem = " ".join(filter(None, (problem, wrong)))
        press.button(
            "Start",
            starting.start,
            task,
            type="primary",
            key="training-go",
            disabled=bool(problem),
        )
    if problem:
        st.html(markup.refusal(problem))
        return
    what, *more = _plan(task, found)
    if more:
        st.html(markup.folded(escape(what), escape(" ".join(more)), "faint"))
    else:
        st.html(markup.paragraph(what, "faint"))
    caution = small_data.caution(
        task.source or DIGITS, _images(task, found), task.roadmap, offer_study=not task.design
    )
    if caution and caution not in shown:
        st.html(caution)
    _more(task)


def _more(task: Task) -> None:
    """Say how to train more than the page starts, on the command line."""
    title = "Train full-size networks"
    commands = f"python -m roadmap sweep --roadmap {task.roadmap} --data PATH"
    if task.design:
        title, commands = "Train the study's whole design", experiments.COMMANDS
    with st.expander(title):
        st.html(
            markup.own_machine(
                "PATH is a folder with train/CLASS/*.jpg and val/CLASS/*.jpg:", commands
            )
        )


def _row(key: str) -> DeltaGenerator:
    return st.container(horizontal=True, gap="medium", vertical_alignment="bottom", key=key)


def _source(large: bool) -> tuple[str | None, str]:
    """Return the chosen data as in ``--data``, None for the digits, and what is wrong with it.

    Full-size networks (``large``) are not trained on the digits.
    """
    options = [name for name in DATA if not (large and name == DIGITS)]
    key = "training-data"
    st.session_state[key] = known(st.session_state.get(key), options)
    shown = st.selectbox(
        "Data",
        options,
        format_func=titled(DATA),
        key=key,
        width=230,
        on_change=lambda: st.session_state.pop("training-seed", None),  # others may be taken
    )
    chosen = known(shown, options)
    if chosen != OWN:
        return (None if chosen == DIGITS else chosen), ""
    text = st.text_input(
        "Folder or name", key="training-own", width=260, max_chars=1000, help=FOLDER_HELP
    ).strip()
    if not text:
        return text, "Enter the folder of your images."
    if text.partition("/")[0] in PREFIXES and "/" in text:
        return text, ""
    try:
        path = Path(text).expanduser().absolute()
        found = path.is_dir()
    except (OSError, ValueError, RuntimeError):  # such as an unknown user, or a null character
        found = False
    return (str(path), "") if found else ("", f"{said(text)} is not a folder on this machine.")


def _kinds(roadmap: str, last: Task | None) -> dict[str, str]:
    """Return the titles of ``KINDS``, the default first: that of the task started ``last``."""
    usual = next(iter(KINDS)) if last is None or last.roadmap != roadmap else _kind(last)
    return {usual: KINDS[usual]} | KINDS


def _kind(task: Task) -> str:
    if task.design:
        return "study"
    if not task.steps:
        return "sweep"
    return "run" if len(task.steps) == 1 else "change"


def _task(roadmap: str, kind: str, source: str | None) -> tuple[Task, str]:
    """Return the chosen task, and what is wrong with its numbers."""
    steps = _steps(roadmap, kind)
    if kind == "run":
        first, wrong = number_field("Seed", 0, MOST_SEED, "training-seed", width=120)
        seeds: tuple[int, ...] = (first,)
    else:
        count, wrong = number_field("Seeds", 1, MOST_SEEDS, "training-seeds", width=120)
        seeds = tuple(range(count))
    epochs, wrong_too = number_field("Epochs", 1, MOST_EPOCHS, "training-epochs", width=120)
    task = Task(roadmap=roadmap, steps=steps, seeds=seeds, epochs=epochs, source=source)
    return task, " ".join(filter(None, (wrong, wrong_too)))


def _steps(roadmap: str, kind: str) -> tuple[str, ...]:
    """Return the keys of the chosen step, or of a change and the step before it; all if empty."""
    if kind == "sweep":
        return ()
    titles = {step.key: step.full_title for step in ROADMAPS[roadmap].steps}
    if kind == "change":
        titles.pop(ROADMAPS[roadmap].keys[0])
    label, key = ("Change", "change") if kind == "change" else ("Step", "step")
    chosen = st.selectbox(
        label,
        list(titles),
        format_func=titled(titles),
        key=f"training-{key}-{roadmap}",
        width=290,
    )
    step = known(chosen, list(titles))
    before = ROADMAPS[roadmap].previous(step) if kind == "change" else None
    return (before.key, step) if before else (step,)


def _remember(roadmap: str, task: Task | None) -> None:
    """Fill the form with the task started last."""
    if task is None or task.roadmap != roadmap:
        return
    first = st.session_state.setdefault
    known_set = task.source if task.source in DOWNLOADS else OWN
    first("training-data", DIGITS if task.source is None else known_set)
    if task.source is not None and known_set == OWN:
        first("training-own", task.source)
    if task.design:
        return
    first("training-epochs", min(max(task.epochs, 1), MOST_EPOCHS))
    kind = _kind(task)
    if task.steps:
        key = "step" if kind == "run" else "change"
        first(f"training-{key}-{roadmap}", task.steps[-1])
    if kind == "run":
        first("training-seed", min(max(task.seeds[0], 0), MOST_SEED))
    else:
        first("training-seeds", min(max(len(task.seeds), 1), MOST_SEEDS))


def _new_seed(found: Runs, source: str | None) -> int:
    """Return the first seed that no run of the default length on ``source`` uses."""
    task = Task(roadmap="resnet50", steps=(), seeds=(0,), epochs=EPOCHS, source=source)
    taken = {run.seed for run in found.runs if run.path.parent.name == task.data}
    return next((seed for seed in range(MOST_SEED) if seed not in taken), MOST_SEED)


# What Start would do


def _plan(task: Task, found: Runs) -> list[str]:
    """Return sentences on what the task trains, downloads and costs."""
    runs = counted(len(task.runs), "run")
    if task.design:
        title = ROADMAPS[task.roadmap].title
        seeds = counted(len({name.rpartition("-seed")[2] for name in task.runs}), "seed")
        what = f"{runs}: each step of {title} at the study's learning rate, with {seeds}"
        size = study_size()
        how = f"with full-size networks at {size} pixels for {task.epochs} epochs"
        sentences = [f"{what}, {how}. They need a GPU."]
    else:
        what = f"{runs} of {_what(task)}"
        how = f"small networks at {IMAGE_SIZE} pixels for {counted(task.epochs, 'epoch')}"
        sentences = [f"{what}, {how}{_already(task, found)}.", *_short(task)]
    download = DOWNLOADS.get(task.source or "")
    if download and download.here < download.size:
        sentences.append(f"Downloads {download.size / 1e6:.0f} MB first.")
    if download and not task.design and (seconds := _estimate(task, found, download.train_images)):
        whole = len(task.runs) * seconds
        every = f", {duration(whole)} in all," if len(task.runs) > 1 else ""
        sentences.append(
            f"About {duration(seconds)} per run{every} on one CPU core, estimated from the digits "
            "data set."
        )
    return sentences


def _what(task: Task) -> str:
    """Name the roadmap, or the steps that are compared."""
    if len(task.steps) < 2:
        return ROADMAPS[task.roadmap].title
    titles = [ROADMAPS[task.roadmap].step(key).full_title for key in task.steps]
    return f"{' and '.join(titles)}, {counted(len(task.seeds), 'seed')} each"


def _short(task: Task) -> list[str]:
    """Say that a recipe for long training, compared with the one before it, may lose here."""
    roadmap = ROADMAPS[task.roadmap]
    if len(task.steps) < 2 or not roadmap.step(task.steps[-1]).recipe_changes:
        return []
    epochs = roadmap.recipe(task.steps[-1]).epochs
    if task.epochs >= epochs:
        return []
    lasts = counted(task.epochs, "epoch")
    return [f"The recipe is made for {epochs} epochs: in {lasts} it may lose what it gains there."]


def _images(task: Task, found: Runs) -> int | None:
    """Return the number of training images, for one's own data that of earlier runs on it."""
    if download := DOWNLOADS.get(task.source or ""):
        return download.train_images
    names = {task.source, background.source_name(task.source)}
    return next((run.train_images for run in found.every if run.data in names), None)


def study_size() -> int:
    """Return the training image size of the study's steps, in pixels."""
    design = background.study_design()
    return design.space.training(design.points[0].levels).train_size


def _estimate(task: Task, found: Runs, images: int) -> float | None:
    """Return the training seconds per run, from the pace of finished pocket runs on digits."""
    paces = [
        run.seconds / (run.epochs * run.train_images)
        for run in found.runs
        if run.finished and run.data == background.DIGITS and run.scale == "pocket"
        if run.roadmap == task.roadmap and (not task.steps or run.step in task.steps)
    ]
    return fmean(paces) * images * task.epochs if paces else None


def _already(task: Task, found: Runs) -> str:
    """Say how many of the task's runs have already finished and would be skipped."""
    folder = all_runs.root() / task.data
    finished = {run.path for run in found.runs if run.finished}
    done = sum(folder / name in finished for name in task.runs)
    if not done:
        return ""
    if done < len(task.runs):
        return f"; {done} already finished"
    return (
        f"; already finished, so choose {'another seed' if len(task.steps) == 1 else 'more seeds'}"
    )
