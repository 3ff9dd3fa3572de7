"""The runs in progress: one card per run, and the background task with Stop and Resume."""

from __future__ import annotations

from functools import partial
from html import escape
from statistics import fmean

import streamlit as st

from models.text import ended, shortened
from roadmap import visitors
from roadmap.errors import RefusedError
from roadmap.runs import Run
from roadmap.steps import ROADMAPS
from roadmap.sweep import background
from roadmap.sweep.background import Task
from roadmap.text import counted, data_title, duration
from roadmap.train.data.downloads import DOWNLOADS
from roadmap.views.common import all_runs, markup, small_data
from roadmap.views.training import card, shown, starting
from roadmap.views.training.shown import Cards

EVERY = 2  # seconds between updates while something trains


def show() -> Cards:
    """Show the section and return what it shows. It updates itself only while something trains, and
    not for public visitors."""
    state = shown.shown(all_runs.read())
    updates = state.active and not visitors.is_public()
    st.fragment(_section, run_every=EVERY if updates else None)(state.active)
    return state


def _section(active: bool) -> None:
    found = all_runs.read()
    state = shown.shown(found)
    if state.active != active:
        st.rerun()  # the whole page: the form returns, and updates end or begin
    if problem := st.session_state.pop(starting.PROBLEM, ""):
        st.html(markup.notice(problem))
    owner = not visitors.is_public()
    if state.running or (state.task and owner):
        _task(state, owner)
    for caution in cautions(state):
        st.html(caution)
    for run in state.cards:
        stopped = owner and run.status in shown.INTERRUPTED and run not in state.mine
        resume = partial(starting.offer, run, busy=state.running) if stopped else None
        card.show(run, found, log=owner, resume=resume)
    if state.more:
        st.html(markup.paragraph(f"And {counted(state.more, 'running run')} more.", "faint"))


def cautions(state: Cards) -> tuple[str, ...]:
    """Return what the data of the cards can show of the steps, each caution once."""
    said = (
        small_data.caution(run.data, run.train_images, run.roadmap)
        for run in state.cards
        if shown.step_of(run) or run.data == background.DIGITS
    )
    return tuple(dict.fromkeys(filter(None, said)))


# The background task


def _task(state: Cards, owner: bool) -> None:
    if state.task is None:  # its lock is held, but its description is missing
        st.html(
            markup.notice("Training is running, but its description (task.json) cannot be read.")
        )
        return
    task, done = state.task, sum(run.finished for run in state.mine)
    status, progress = _doing(state, task) if state.running else (_ending(state, task, done), "")
    with st.container(
        horizontal=True, gap="medium", vertical_alignment="center", key="training-task"
    ):
        st.html(  # progress is not read out: it changes with each update
            f'<p class="text"><span role="status"><b>{escape(name(task))}</b>: {done} of '
            f"{len(task.runs)} finished. {escape(status)}</span> {escape(progress)}</p>"
        )
        if owner:
            _buttons(state, task, done)


def _buttons(state: Cards, task: Task, done: int) -> None:
    if state.running:
        st.button(
            "Stop",
            key="training-stop",
            disabled=task.stopped,
            on_click=_stop,
            help="Saves a checkpoint; Resume continues from it.",
        )
    elif done < len(task.runs):
        # What has not begun, such as for its data, cannot be resumed.
        label = "Resume" if state.mine else "Try again"
        st.button(label, key="training-resume", on_click=starting.start, args=(task,))


def _doing(state: Cards, task: Task) -> tuple[str, str]:
    """Return what the running task does, and how far it is."""
    if task.stopped:
        return "Stopping; saving a checkpoint…", ""
    running = [run for run in state.mine if run.status == "running"]
    if not running:
        done = all(run.finished for run in state.mine) and len(state.mine) == len(task.runs)
        return ("Ending…", "") if done else ("", _loading(task))
    left = _seconds_left(state, running)
    return "", "" if left is None else f"About {duration(left)} left."


def _loading(task: Task) -> str:
    """Say how far a download is, if the data is being downloaded."""
    download = DOWNLOADS.get(task.source or "")
    if download is None or download.here == download.size:
        return "Starting: loading the data…"
    here, size = (f"{count / 1e6:.0f}" for count in (download.here, download.size))
    share = 100 * download.here / download.size
    return f"Downloading {download.title}: {here} of {size} MB ({share:.0f}%)."


def _seconds_left(state: Cards, running: list[Run]) -> float | None:
    """Return the seconds for the runs in progress, and for the others as long as those so far."""
    assert state.task is not None
    lefts = [card.seconds_left(run, shown.live_of(run)) for run in running]
    known = [left for left in lefts if left is not None]
    waiting = len(state.task.runs) - sum(run.finished for run in state.mine) - len(running)
    if not known:
        return None
    if not waiting:
        return max(known)
    whole = [run.wall_seconds for run in state.mine if run.finished and run.wall_seconds]
    if not whole:
        lives = [shown.live_of(run) for run in running]
        whole = [
            live.seconds_left * live.steps / (live.steps - live.step)
            for live in lives
            if live and live.seconds_left
        ]
    return (sum(known) + waiting * fmean(whole)) / len(running) if whole else None


def _ending(state: Cards, task: Task, done: int) -> str:
    """Say how the last task ended; a progress line as its last means that it was killed."""
    if done == len(task.runs):
        return ""
    if task.stopped:
        return "Stopped and saved." if state.mine else "Stopped."
    lines = background.output_lines(all_runs.root())
    said = lines[-1].strip() if lines else "It ended without a message."
    run, colon, progress = said.partition(":")
    if run in task.runs:
        return f"Its process was killed at {_run_title(task, run)}{colon}{progress}."
    said = said.removesuffix(" Run the same command to resume.")
    return ended(shortened(said, card.LONGEST_LINE))


def name(task: Task) -> str:
    """Return what ``task`` trains, and on what."""
    roadmap = ROADMAPS[task.roadmap]
    data = data_title(task.data)
    if task.design:
        return f"The study's steps on {data}, {counted(task.epochs, 'epoch')}"
    what = ", ".join(roadmap.step(key).full_title for key in task.steps)
    what = what or f"Every step of {roadmap.title}"
    seeds = ", ".join(map(str, task.seeds))
    plural = "" if len(task.seeds) == 1 else "s"
    length = "" if "epoch" in data else f", {counted(task.epochs, 'epoch')}"
    return f"{what}, seed{plural} {seeds}, {data}{length}"


def _run_title(task: Task, run: str) -> str:
    """Return the title of the task's run that is in the folder ``run``."""
    if task.design:
        return run
    roadmap = ROADMAPS[task.roadmap]
    keys = task.steps or roadmap.keys
    titles = [f"{roadmap.step(key).full_title}, seed {seed}" for seed in task.seeds for key in keys]
    return titles[task.runs.index(run)]


def _stop() -> None:
    try:
        background.stop(all_runs.root())
    except RefusedError as error:
        st.session_state[starting.PROBLEM] = str(error)
