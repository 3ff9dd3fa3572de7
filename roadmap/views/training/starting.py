"""Start and resume runs: as a task of the page, or with a command."""

from __future__ import annotations

import json
from dataclasses import asdict, replace

import streamlit as st

from roadmap.errors import RefusedError
from roadmap.runs import Run, StepRun
from roadmap.sweep import background
from roadmap.sweep.background import Task
from roadmap.train.data.downloads import DOWNLOADS
from roadmap.train.resumption import DESIGN, PATH, resume_command
from roadmap.train.settings import choose_recipe
from roadmap.views.common import all_runs, markup

PROBLEM = "training-problem"


def start(task: Task) -> None:
    """Start or resume ``task``; what prevents it is shown on the page."""
    try:
        background.start(all_runs.root(), replace(task, pid=0, stopped=False))
    except RefusedError as error:
        st.session_state[PROBLEM] = str(error)


def offer(run: Run, name: str, *, busy: bool) -> None:
    """Show how to resume ``run``, which stopped: a button if the page can, else the command.

    ``busy`` says whether a task is running; ``name`` distinguishes the run's button.
    """
    if (task := task_of(run)) is not None:
        wait = "Training is already running: wait for it to end, or stop it." if busy else None
        key = f"training-resume-{name}"
        st.button("Resume", key=key, on_click=start, args=(task,), disabled=busy, help=wait)
    elif (command := resume_command(run, run.path)) is not None:
        words = command.split()
        unknown = [
            text
            for word, text in (
                (PATH, f"{PATH} is the folder of the data set {run.data}"),
                (DESIGN, f"{DESIGN} is the file of design {run.point and run.point.design}"),
            )
            if word in words
        ]
        about = f" {' and '.join(unknown)}." if unknown else ""
        st.html(
            markup.paragraph(f"Resume it on the command line.{about}", "faint")
            + markup.command(command)
        )


def task_of(run: Run) -> Task | None:
    """Return the task that resumes ``run``; None if the page starts no such run."""
    if not isinstance(run, StepRun) or run.scale != "pocket":
        return None
    for source in (None, *DOWNLOADS):
        task = Task(
            roadmap=run.roadmap,
            steps=(run.step,),
            seeds=(run.seed,),
            epochs=run.recipe["epochs"],
            source=source,
        )
        if run.path == all_runs.root() / task.data / task.runs[0]:
            return task if _is_as_started(run, source) else None
    return None


def _is_as_started(run: StepRun, source: str | None) -> bool:
    """Whether the page would start ``run`` with the same settings."""
    changes = {"epochs": run.recipe["epochs"]}
    try:
        recipe, _ = choose_recipe(run.roadmap, run.step, changes=changes, scale="pocket")
    except RefusedError:
        return False
    same = json.loads(json.dumps(asdict(recipe))) == dict(run.recipe)
    precision = "bf16" if run.device_type == "cuda" else "float32"
    device = source is not None or run.device_type == "cpu"
    return same and device and run.precision == precision and run.micro_batch is None
