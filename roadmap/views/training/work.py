"""Training on this machine from the page: start, watch, stop; and all running runs."""

from __future__ import annotations

from html import escape

import streamlit as st

from roadmap import visitors
from roadmap.errors import RefusedError
from roadmap.runs import Run, Runs
from roadmap.steps import ROADMAPS
from roadmap.sweep import background
from roadmap.sweep.background import Task
from roadmap.text import ABSENT, counted, data_title, number
from roadmap.train.pocket import EPOCHS
from roadmap.views.ablations import data as ablations_data
from roadmap.views.common import markup
from roadmap.views.common.bounds import known, within
from roadmap.views.common.controls import titled

EVERY = 3  # seconds between updates
KINDS = {"run": "One step", "sweep": "Every step"}
MOST_EPOCHS, MOST_SEED, MOST_SEEDS = 300, 9999, 10
#: At most this many running runs are shown.
MOST_SHOWN = 20
SHOWN = "ablations-shown"


def note_shown(found: Runs) -> None:
    """Remember what the page shows, so that it is redrawn when that changes."""
    st.session_state[SHOWN] = _signature(found)


def show(roadmap: str) -> None:
    """Show the form or the progress; read-only visitors see the commands and the progress."""
    if visitors.is_public():
        _elsewhere(roadmap)
        return
    _watched(roadmap)


def _elsewhere(roadmap: str) -> None:
    sentence = (
        "Training is disabled on this public explorer. On a laptop, a small version of one step "
        "takes about a minute:"
    )
    step = ROADMAPS[roadmap].keys[1]
    st.html(
        markup.own_machine(
            sentence,
            f"python -m roadmap train --roadmap {roadmap} --step {step} --scale pocket",
            f"python -m roadmap sweep --roadmap {roadmap} --seeds 0 1 2 --scale pocket",
        )
    )
    found = ablations_data.read()
    if any(run.status == "running" for run in found.every):
        _others(found, None)


@st.fragment(run_every=EVERY)
def _watched(roadmap: str) -> None:
    """Redraw this part; rerun the whole page once a run has started or ended."""
    found = ablations_data.read()
    if _signature(found) != st.session_state.get(SHOWN):
        st.rerun()
    root = ablations_data.root()
    task, running = background.read_task(root), background.is_running(root)
    if problem := st.session_state.pop("ablations-problem", ""):
        st.html(markup.notice(problem))
    if running:
        _progress(task, found)
    else:
        _remember(roadmap, task)
        _form(roadmap, found)
        if task is not None:
            _ended(task)
    _others(found, task if running else None)


def _signature(found: Runs) -> tuple[object, ...]:
    """Return a value that changes when more than epoch counts must be redrawn."""
    states = sorted((str(run.path), run.status) for run in found.every)
    return tuple(states), tuple(
        sorted(map(str, (folder.path for folder in ablations_data.broken(found))))
    )


# Before training


def _remember(roadmap: str, task: Task | None) -> None:
    """Fill the form with the task started last, so that Start resumes it."""
    if task is None or task.roadmap != roadmap:
        return
    one = len(task.steps) == 1
    st.session_state.setdefault("ablations-kind", "run" if one else "sweep")
    st.session_state.setdefault("ablations-epochs", min(max(task.epochs, 1), MOST_EPOCHS))
    if one:
        st.session_state.setdefault(f"ablations-step-{roadmap}", task.steps[0])
        st.session_state.setdefault("ablations-seed", min(max(task.seeds[0], 0), MOST_SEED))
    else:
        st.session_state.setdefault("ablations-seeds", min(max(len(task.seeds), 1), MOST_SEEDS))


def _form(roadmap: str, found: Runs) -> None:
    first_values = {"kind": "run", "seed": _new_seed(found), "seeds": 3, "epochs": EPOCHS}
    for name, value in first_values.items():
        st.session_state.setdefault(f"ablations-{name}", value)
    with st.container(
        horizontal=True, gap="medium", vertical_alignment="bottom", key="ablations-start"
    ):
        kind = st.segmented_control(
            "Train", list(KINDS), format_func=titled(KINDS), required=True, key="ablations-kind"
        )
        steps = {step.key: step.title for step in ROADMAPS[roadmap].steps}
        chosen: tuple[str, ...] = ()
        seeds: tuple[int, ...]
        if kind == "run":
            key = f"ablations-step-{roadmap}"
            step = st.selectbox("Step", list(steps), format_func=titled(steps), key=key, width=230)
            chosen = (known(step, list(steps)),)
            first = st.number_input("Seed", 0, MOST_SEED, key="ablations-seed", width=120)
            seeds = (within(first, 0, MOST_SEED),)
        else:
            count = st.number_input("Seeds", 1, MOST_SEEDS, key="ablations-seeds", width=120)
            seeds = tuple(range(within(count, 1, MOST_SEEDS)))
        epochs = st.number_input("Epochs", 1, MOST_EPOCHS, key="ablations-epochs", width=120)
        epochs = within(epochs, 1, MOST_EPOCHS)
        task = Task(roadmap=roadmap, steps=chosen, seeds=seeds, epochs=epochs)
        st.button("Start", type="primary", key="ablations-go", on_click=_begin, args=(task,))
    where = f"{ROADMAPS[roadmap].title}, {counted(len(task.runs), 'run')} on the digits data set"
    other = "" if task.epochs == EPOCHS else ", separate from runs of other lengths"
    st.html(markup.paragraph(f"{where}{other}{_already(task, found)}.", "faint"))


def _new_seed(found: Runs) -> int:
    """Return the first seed that no run on the digits uses."""
    taken = {run.seed for run in found.runs if run.data == "digits"}
    return next((seed for seed in range(MOST_SEED) if seed not in taken), MOST_SEED)


def _already(task: Task, found: Runs) -> str:
    """Say how many of the task's runs have already finished and would be skipped."""
    folder = ablations_data.root() / task.data
    finished = {run.path for run in found.runs if run.finished}
    done = sum(folder / name in finished for name in task.runs)
    if not done:
        return ""
    if done < len(task.runs):
        return f"; {done} already finished"
    return f"; already finished, so choose {'another seed' if task.steps else 'more seeds'}"


def _begin(task: Task) -> None:
    try:
        background.start(ablations_data.root(), task)
    except RefusedError as error:
        st.session_state["ablations-problem"] = str(error)


def _stop() -> None:
    try:
        background.stop(ablations_data.root())
    except RefusedError as error:
        st.session_state["ablations-problem"] = str(error)


def _ended(task: Task) -> None:
    """Show the last task's final message; a progress line means that it was killed."""
    said = background.last_words(ablations_data.root()) or "It ended without a message."
    name, colon, progress = said.partition(":")
    if name in task.runs:
        said = (
            f"Its process was killed at {_run_title(task, name)}{colon}{progress}. "
            "Start it again to resume."
        )
    st.html(markup.paragraph(f"Last task: {_name(task)}. {said}", "faint last"))


# During training


def _progress(task: Task | None, found: Runs) -> None:
    if task is None:  # its lock is held, but its description is missing
        st.html(
            markup.notice("Training is running, but its description (task.json) cannot be read.")
        )
        return
    runs = {run.path.name: run for run in found.runs if run.path.parent.name == task.data}
    mine = [runs[name] for name in task.runs if name in runs]
    done = sum(run.finished for run in mine)
    epochs = sum(min(run.epochs, task.epochs) for run in mine)
    now = next((run for run in mine if run.status == "running"), None)
    if task.stopped:
        doing = "stopping; saving a checkpoint…"
    elif now is None:
        doing = "ending" if done == len(task.runs) else "starting"
    else:
        doing = f"{now.title}, epoch {now.epochs} of {now.recipe['epochs']}"
    st.html(
        f'<p class="text" role="status"><b>{escape(_name(task))}</b>: {done} of {len(task.runs)} '
        f"finished; {escape(doing)}.</p>"
    )
    st.progress(min(1.0, epochs / (task.epochs * len(task.runs))))
    st.button(
        "Stop",
        key="ablations-stop",
        disabled=task.stopped,
        on_click=_stop,
    )


def _name(task: Task) -> str:
    roadmap = ROADMAPS[task.roadmap]
    titles = {step.key: step.title for step in roadmap.steps}
    what = ", ".join(titles[key] for key in task.steps) or f"Every step of {roadmap.title}"
    seeds = ", ".join(map(str, task.seeds))
    plural = "" if len(task.seeds) == 1 else "s"
    return f"{what}, seed{plural} {seeds}, {counted(task.epochs, 'epoch')}"


def _run_title(task: Task, name: str) -> str:
    """Return the title of the task's run that is in the folder ``name``."""
    roadmap = ROADMAPS[task.roadmap]
    keys = task.steps or roadmap.keys
    titles = [f"{roadmap.step(key).title}, seed {seed}" for seed in task.seeds for key in keys]
    return titles[task.runs.index(name)]


def _others(found: Runs, task: Task | None) -> None:
    """List every running run, including those started elsewhere."""
    running = [run for run in found.every if run.status == "running"]
    if not running:
        if task is None:
            st.html(markup.paragraph("No training is running.", "faint"))
        return
    rows = [_row(run) for run in running[:MOST_SHOWN]]
    more = len(running) - len(rows)
    st.html(
        markup.heading("Running", 3, "subsection")
        + markup.recipe_table(
            ("Run", "Roadmap", "Data", "Epoch", "Top-1 %", "Seconds per epoch"), rows
        )
        + (markup.paragraph(f"And {more} more.", "faint") if more else "")
    )


def _row(run: Run) -> tuple[str, ...]:
    top1 = ABSENT
    if run.epochs:
        from roadmap.sweep.plan import read_progress

        top1 = number(read_progress(run.path).top1, 2)
    speed = number(run.seconds / run.epochs, 1) if run.epochs else ABSENT
    place = f"{run.epochs} of {run.recipe['epochs']}"
    title = ROADMAPS[run.roadmap].title
    return run.title, title, data_title(run.path.parent.name), place, top1, speed
