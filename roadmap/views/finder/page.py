"""The best network for a device: a question, measurements on this machine, an answer."""

from __future__ import annotations

import streamlit as st

from roadmap import visitors
from roadmap.errors import RefusedError
from roadmap.find import answer, search, store
from roadmap.find.candidates import Candidate
from roadmap.find.plan import plan
from roadmap.find.question import Question, plain_device
from roadmap.find.search import Search
from roadmap.text import counted, duration, time_limit
from roadmap.views.common import markup, press, turns
from roadmap.views.finder import result, share
from roadmap.views.finder.ask import Asked, ask
from roadmap.views.finder.own import own_config

POLL = 1.0  # seconds between updates while a search runs
#: Minutes after which a search stops; it can be continued.
MINUTES = 10.0
PROBLEM = "finder-problem"


def show() -> None:
    """Show the whole page; everything interactive is in one fragment."""
    st.html(
        markup.opening(
            "Finder",
            "Find the fastest network that reaches a given accuracy. Accuracies are published; "
            "speeds are measured on your machine.",
        )
    )
    _finder()


@turns.fragment
def _finder() -> None:
    problem = st.empty()
    asked = ask()
    if asked is None:
        return
    problems = [*asked.problems, *filter(None, [st.session_state.pop(PROBLEM, "")])]
    if problems:
        problem.html(markup.notice(" ".join(problems)))
    _live(asked)
    share.show(asked.question)


def _live(asked: Asked) -> None:
    """Show progress and result; both follow a running search."""
    running = _running()
    if running is None:
        _state(asked)
        _result(asked)
        return
    st.fragment(_following, run_every=POLL)(asked)


def _following(asked: Asked) -> None:
    if _running() is None:
        st.rerun()  # the whole page, which then stops polling
    _state(asked)
    _result(asked)


def _running() -> Search | None:
    found = search.current()
    return found if found is not None and found.state == "running" else None


def _result(asked: Asked) -> None:
    networks, rows = search.known(own_config()), store.figures()
    measured = answer.points(asked.question, networks, rows)
    unmeasured = search.unmeasured(asked.question, plan(asked.question, networks, rows), rows)
    result.show(asked.question, measured, networks, unmeasured)


# The button, what it will do, and how far it is


def _state(asked: Asked) -> None:
    if visitors.is_public():
        sentence = (
            "Measuring is disabled on this public explorer; the answer is for a device measured "
            "before. Ask for your own device:"
        )
        st.html(markup.own_machine(sentence, command(asked.question)))
        return
    if not asked.is_here:
        name = plain_device(asked.question.device_name)
        text = f"These figures were measured on another machine, {name}."
        st.html(markup.paragraph(text, "faint"))
        return
    running = _running()
    if running is not None:
        _progress(running, asked.question)
    else:
        _start(asked.question)


def command(question: Question) -> str:
    """Return the command line that asks the same on the reader's machine."""
    return (
        f"python -m roadmap find --top1 {question.top1:g} --batch-size {question.batch_size} "
        f"--dtype {question.dtype} --objective {question.objective}"
    )


def _start(question: Question) -> None:
    """Offer the search, and say what can be had in how long."""
    prepared = search.prepared(question, MINUTES, own_config())
    waiting = list(prepared.waiting)
    again = search.repeatable(question, prepared.plan.order, store.rows())
    last = search.current()
    own = " Your network from the Builder is measured first." if prepared.own else ""
    with st.container(horizontal=True, vertical_alignment="center", gap="medium"):
        press.button(
            "Continue" if len(waiting) < len(prepared.plan.order) else "Measure",
            _begin,
            question,
            type="primary",
            key="finder-go",
            disabled=not (waiting or again),
        )
        st.html(markup.paragraph(_promise(prepared, again) + own, "faint"))
    if last is not None and last.question == question:
        _ended(last)


def _promise(prepared: Search, again: list[Candidate]) -> str:
    """Say what will be measured, and about how long that takes."""
    waiting, order = list(prepared.waiting), prepared.plan.order
    if not waiting:
        if again:
            return f"All measured; {counted(len(again), 'disturbed measurement')} can be repeated."
        return f"All {len(order)} candidates are measured on this machine."
    rates = prepared.rates
    first = [each for each in waiting if each in prepared.plan.first]
    seconds = sum(map(rates.seconds, first)), sum(map(rates.seconds, waiting))
    limit = f"Measuring stops after {MINUTES:.0f} min and can be continued."
    every = f"{counted(len(waiting), 'network')} to measure: about {duration(seconds[1])}."
    if not first or len(first) == len(waiting):
        return f"{every} {limit}"
    verb = "takes" if len(first) == 1 else "take"
    return (
        f"The {counted(len(first), 'network')} that can win {verb} about {duration(seconds[0])}, "
        f"all {len(waiting)} for the chart about {duration(seconds[1])}. {limit}"
    )


def _begin(question: Question) -> None:
    try:
        search.start(question, MINUTES, own_config())
    except RefusedError as error:
        st.session_state[PROBLEM] = str(error)


def _stop() -> None:
    try:
        search.stop()
    except RefusedError as error:
        st.session_state[PROBLEM] = str(error)


def _progress(running: Search, question: Question) -> None:
    share, doing = progress(running)
    of = "" if running.question == question else f" for {running.question.conditions}"
    text = f"{doing}{of}, about {duration(running.seconds_left)} left"
    with st.container(horizontal=True, vertical_alignment="center", gap="medium"):
        st.progress(share, text)
        st.button("Stop", key="finder-stop", on_click=_stop)
    if running.busy:
        st.html(
            markup.notice(
                f"The machine is busy: {running.busy}. Disturbed measurements are repeated."
            )
        )


def progress(running: Search) -> tuple[float, str]:
    """Return the share that is measured, and what happens now: ``Building resnet50, 1 of 9``."""
    total, waiting, job = len(running.plan.order), list(running.waiting), running.job
    now = running.now or next(iter(waiting), None)
    if now is None:
        return 1.0, "Ending"
    done = total - len(waiting) - (running.now is not None and not running.repeating)
    which = "again" if running.repeating else f"{done + 1} of {total}"
    if job is None or not job.done:
        return done / total, f"Building {now.title}, {which}"
    part = 0 if running.repeating else job.done / job.total
    return (done + part) / total, f"Measuring {now.title}, {which}: run {job.done} of {job.total}"


def _ended(last: Search) -> None:
    """Say how the last search for this question ended, if not because all is measured."""
    notes = []
    if last.state == "stopped":
        notes.append("Stopped; what was measured is kept.")
    elif last.state == "out of time":
        notes.append(f"Stopped after {time_limit(last.minutes)}.")
    elif last.state == "failed":
        notes.append(last.problem or "The search ended early; continue it.")
    notes += [f"{name} was not measured: {why}" for name, why in list(last.failures.items())[:3]]
    if len(last.failures) > 3:
        notes.append(f"And {len(last.failures) - 3} more were not measured.")
    if notes:
        st.html(markup.paragraph(" ".join(notes), "faint"))
