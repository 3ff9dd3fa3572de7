"""The card of one run: its figures, curves over earlier runs, verdict and log."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from html import escape

import streamlit as st

from models.text import ended, shortened
from roadmap.analysis.narrowing import Narrowing
from roadmap.analysis.verdict import INCONCLUSIVE
from roadmap.charts.live import Curve, Role, live_chart
from roadmap.html_table import Cell, Row, html_table, numbers, row_head
from roadmap.runs import PointRun, Run, Runs, StepRun
from roadmap.runs.live import LIVE, Live
from roadmap.steps import ROADMAPS
from roadmap.sweep.background import last_lines
from roadmap.sweep.engine import LOG
from roadmap.tables.results import ResultsError
from roadmap.text import ABSENT, counted, data_title, duration, number, signed
from roadmap.views.common import all_runs, markup
from roadmap.views.training import shown

STATES = {
    "running": "Training",
    "finished": "Finished",
    "interrupted": "Stopped and saved",
    "stopped": "Process ended",
    "failed": "Failed",
}
LOG_LINES, LONGEST_LINE = 10, 300
#: Rows of the narrowing interval: the last ones.
MOST_ROWS = 4
#: Seconds after which published figures no longer say how fast a run is.
STALE = 60


def show(run: Run, found: Runs, *, log: bool, resume: Callable[[str], None] | None) -> None:
    """Show the card of ``run``; ``log`` says whether the visitor may read its log, ``resume`` shows
    how to resume it, given a name for its button."""
    name = _key(run)
    live = shown.live_of(run)
    with st.container(border=True, key=f"run-{name}", gap="small"):
        st.html(_head(run) + _figures(run, live))
        if charts := _charts(run, found, live):
            st.markdown(charts, unsafe_allow_html=True)  # st.html removes drawings
        if verdict := _verdict(run, found):
            st.html(verdict)
        if resume is not None:
            resume(name)
        if log:
            with st.expander("Log", key=f"run-log-{name}"):
                st.html(_log(run))


def _key(run: Run) -> str:
    return f"{run.path.parent.name}-{run.path.name}"


def _head(run: Run) -> str:
    where = f"{ROADMAPS[run.roadmap].title}, {data_title(run.path.parent.name)}"
    about = f"{where}, {number(run.val_images, 0)} validation images"
    reason = ended(run.reason) if run.reason and run.status == "failed" else ""
    return (
        f'<div class="run-head"><h3 class="subsection">{escape(run.title)}</h3>'
        f'<span class="run-state {run.status}"><i></i>{STATES[run.status]}</span></div>'
        + markup.paragraph(about, "faint")
        + (markup.notice(shortened(reason, LONGEST_LINE)) if reason else "")
    )


def _figures(run: Run, live: Live | None) -> str:
    """Return the progress bar and the figures under it."""
    epochs = run.recipe["epochs"]
    done = run.epochs / epochs
    if live is not None:
        done = max(done, live.step / live.steps)
    bar = (
        f'<div class="run-bar" role="progressbar" aria-label="Progress of {escape(run.title)}" '
        f'aria-valuemin="0" aria-valuemax="100" aria-valuenow="{100 * done:.0f}">'
        f'<i style="width:{100 * done:.1f}%"></i></div>'
    )
    items = "".join(
        f"<div><dt>{escape(name)}</dt><dd>{escape(value)}</dd></div>"
        for name, value in _values(run, live)
    )
    return f'{bar}<dl class="run-figures">{items}</dl>'


def _values(run: Run, live: Live | None) -> list[tuple[str, str]]:
    epochs = run.recipe["epochs"]
    top1, loss = _last(shown.top1_curve(run, "now")), _last(shown.loss_curve(run, live))
    epoch = run.epochs
    if live is not None and run.status == "running":
        epoch = min(epochs, max(epoch, live.step // live.steps_per_epoch + 1))
    speed = run.epochs * run.train_images / run.seconds if run.seconds else None
    fresh = (
        live is not None
        and run.status == "running"
        and (speed is None or shown.several_per_epoch(live))
    )
    values = [
        ("Epoch", f"{epoch} of {epochs}"),
        ("Training loss", number(loss, 3)),
        ("Top-1", ABSENT if top1 is None else f"{number(top1, 2)}%"),
        ("Images/s", number(live.images_per_s if live and fresh else speed, 0)),
    ]
    if run.status == "running":
        values.append(("Time left", _left(run, live)))
    else:
        values.append(("Training time", duration(run.seconds)))
    return values


def seconds_left(run: Run, live: Live | None) -> float | None:
    """Return the seconds that ``run`` still needs; None until its pace is known."""
    if live is None or live.seconds_left is None:
        return None
    try:
        age = time.time() - (run.path / LIVE).stat().st_mtime
    except OSError:
        return None
    return max(live.seconds_left - max(age, 0), 0) if age < max(STALE, live.seconds_left) else None


def _left(run: Run, live: Live | None) -> str:
    left = seconds_left(run, live)
    if left is None:
        return "starting" if live is None and not run.epochs else ABSENT
    return duration(left)


def _last(curve: Curve) -> float | None:
    return curve.values[-1] if curve.values else None


# Charts


def _charts(run: Run, found: Runs, live: Live | None) -> str:
    epochs = run.recipe["epochs"]
    loss, top1 = shown.loss_curve(run, live), shown.top1_curve(run, "now")
    if not loss.values and not top1.values:
        return ""
    earlier, before = shown.compared(found, run)
    roles: dict[Role, list[Run]] = {"earlier": earlier, "before": before}
    others = [(other, role) for role, runs in roles.items() for other in runs]
    losses = [shown.epoch_losses(other, role) for other, role in others]
    top1s = [shown.top1_curve(other, role) for other, role in others]
    names: dict[Role, str] = {
        "now": f"Seed {run.seed}",
        "earlier": counted(len(earlier), "other seed"),
        "before": f"{_step_title(before[0])}, {counted(len(before), 'seed')}" if before else "",
    }
    runs = [other for other, _ in others]
    left = f"Line chart of the training loss of {run.title}, now {number(_last(loss), 3)}." + _ends(
        runs, losses, 3
    )
    right = (
        f"Line chart of validation top-1 of {run.title} by epoch, now {number(_last(top1), 2)}%."
        + _ends(runs, top1s, 2)
    )
    return (
        '<div class="live-charts">'
        + live_chart([loss, *losses], names, epochs, "Training loss by epoch", left, 3)
        + live_chart([top1, *top1s], names, epochs, "Top-1 by epoch, %", right, 2, zoomed=True)
        + "</div>"
        + (_legend(names, [role for _, role in others]) if others else "")
    )


def _ends(runs: Sequence[Run], curves: Sequence[Curve], decimals: int) -> str:
    """Say the last value of each curve, for the text alternative of a chart."""
    ends = "; ".join(
        f"{run.title} {number(_last(curve), decimals)}"
        for run, curve in zip(runs, curves, strict=True)
    )
    return f" At the last epoch: {ends}." if ends else ""


def _legend(names: Mapping[Role, str], others: Sequence[Role]) -> str:
    """Say what the lines are."""
    items = "".join(
        f'<span><i class="line {role}"></i>{escape(names[role])}</span>'
        for role in ("now", *dict.fromkeys(others))
    )
    return f'<p class="faint legend">{items}</p>'


def _step_title(run: Run) -> str:
    step = shown.step_of(run)
    return ROADMAPS[run.roadmap].step(step).full_title if step else run.title


# Verdict


def _verdict(run: Run, found: Runs) -> str:
    """Say how the interval of the change from the step before narrows with each seed."""
    step = shown.step_of(run)
    before = ROADMAPS[run.roadmap].previous(step) if step else None
    if step is None or before is None:
        return ""
    if isinstance(run, PointRun) and before.key not in shown.study_steps():
        return ""
    try:
        narrowed = _narrowed(run, found, step)
    except ResultsError as error:
        return markup.notice(f"These runs cannot be compared: {error}")
    return verdict_html(narrowed, before.full_title)


def _narrowed(run: Run, found: Runs, step: str) -> tuple[Narrowing, ...]:
    if not isinstance(run, StepRun):
        return shown.study_narrowing(
            shown.study_scores(found, run), run.val_images, run.roadmap, step
        )
    alike = tuple(one for one in shown.comparable(run, found) if isinstance(one, StepRun))
    return all_runs.narrowing(alike, run.data, run.roadmap, step)


def verdict_html(found: Sequence[Narrowing], before: str) -> str:
    """Return the verdict as a sentence, and a row per number of seeds with its interval."""
    if not found:
        said = f"No verdict yet: it needs a finished run of this step and of {before}."
        return markup.paragraph(said, "faint run-verdict")
    last = found[-1].change
    change = f"Change from {before}: {signed(last.points, 2)} points"
    if last.interval is None:
        said = f"{change}. An interval needs two finished seeds of both steps."
        return markup.paragraph(said, "faint run-verdict")
    more = ""
    if last.verdict == INCONCLUSIVE:
        need = last.seeds_needed
        more = f"; about {counted(need, 'seed')} needed" if need else "; over 100 seeds needed"
    sentence = (
        f'<p class="run-verdict"><i class="sign {last.verdict}"></i><b>{escape(change)}</b>, '
        f"{last.verdict}{more}.</p>"
    )
    rows = found[-MOST_ROWS:]
    reach = (
        max(
            max(abs(one.change.interval.low), abs(one.change.interval.high))
            for one in rows
            if one.change.interval
        )
        or 1
    )
    head: list[Cell | str] = ["Seeds", "", *numbers(["Change", "95% interval"])]
    return sentence + html_table(head, [_row(one, reach) for one in rows], "narrowing")


def _row(one: Narrowing, reach: float) -> Row:
    interval = one.change.interval
    assert interval is not None  # a later row has one only if all have
    low, high, middle = (
        50 + 48 * value / reach for value in (interval.low, interval.high, one.change.points)
    )
    strip = (
        f'<span class="estimate {one.change.verdict}" aria-hidden="true">'
        f'<i style="left:{low:.1f}%;width:{high - low:.1f}%"></i>'
        f'<b style="left:{middle:.1f}%"></b></span>'
    )
    said = f"{signed(interval.low, 2)} to {signed(interval.high, 2)}"
    values = numbers([signed(one.change.points, 2), said])
    return Row([row_head(str(one.seeds)), Cell(before=strip, kind="strips"), *values])


# Log


def _log(run: Run) -> str:
    lines = last_lines(run.path / LOG)[-LOG_LINES:]
    if not lines:
        return markup.paragraph(f"This run has no {LOG}: its process prints elsewhere.", "faint")
    text = escape("\n".join(shortened(line, LONGEST_LINE) for line in lines))
    return f'<pre class="command log">{text}</pre>'  # not scrolled: an update would take its focus
