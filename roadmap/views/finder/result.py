"""The answer, the lines to copy, the chart and all figures."""

from __future__ import annotations

from html import escape
from typing import Any

import streamlit as st

from roadmap import visitors
from roadmap.background.queue import Job
from roadmap.charts import finder as charts
from roadmap.export.formats import check_text
from roadmap.export.packages import onnx_refusal
from roadmap.find import answer
from roadmap.find.answer import MeasuredPoint
from roadmap.find.candidates import OWN, Candidate
from roadmap.find.question import Question
from roadmap.palette import ORANGE
from roadmap.text import number
from roadmap.views.common import figure, markup, press, work

KEY = "finder-onnx"


def show(
    question: Question, measured: list[MeasuredPoint], networks: list[Candidate], unmeasured: str
) -> None:
    """Show the answer beside the chart; without measurements, only what is missing.

    ``unmeasured`` says how many networks that can win are still to be measured, or is empty.
    """
    able = answer.winners(question, measured)
    left, right = st.columns([1, 1.45], gap="large")
    with left:
        _answer(question, measured, networks, unmeasured)
        if able:
            _lines(question, able[0].candidate)
    with right:
        _chart(question, measured)
    if measured:
        _table(question, measured)


def _answer(
    question: Question, measured: list[MeasuredPoint], networks: list[Candidate], unmeasured: str
) -> None:
    able = answer.winners(question, measured)
    text = answer.sentence(question, measured, networks)
    own = answer.about_own(question, measured)
    if not able:
        st.html(f'<p class="finding" role="status">{escape(text)}</p>')
        return
    best = able[0]
    name = escape(best.candidate.title).replace("_", "_<wbr>")
    heading = "The answer so far" if unmeasured else "The answer"
    st.html(
        '<div class="found" role="status">'
        f'<p class="eyebrow">{heading}</p><h2 class="step">{name}</h2>'
        f'<p class="found-figures"><b>{escape(question.measured.show(best.value))}</b>'
        f"<b>{number(best.candidate.top1, 1)}%</b></p>"
        f'<p class="why">{escape(" ".join(filter(None, [text, unmeasured])))}</p></div>'
        + (markup.paragraph(own, "faint below") if own else "")
    )


def _lines(question: Question, candidate: Candidate) -> None:
    """Show the lines that build and run the network, and the button for ONNX."""
    st.code(
        answer.create_line(candidate).removeprefix("network = "), language="python", wrap_lines=True
    )
    with st.expander("Run it as it was measured"):
        st.code(answer.python_lines(candidate, question), language="python", wrap_lines=True)
    st.html(markup.paragraph(answer.weights_note(candidate), "faint"))
    if not visitors.is_public():
        _onnx(candidate)


def _onnx(candidate: Candidate) -> None:
    refusal = onnx_refusal()
    name = answer.timm_name(candidate) or candidate.name
    press.button(
        "Create ONNX",
        _begin,
        candidate,
        key="finder-make-onnx",
        disabled=bool(refusal) or candidate.source == OWN or work.running(KEY),
    )
    if refusal:
        st.html(markup.paragraph(f"{refusal}.", "faint"))
    if work.about(KEY).get("place") == candidate.place:
        work.follow(KEY, f"Creating {name}", _offer)


def _begin(candidate: Candidate) -> None:
    registry = candidate.source if candidate.source == "torchvision" else "timm"
    name = candidate.name
    if candidate.source not in ("timm", "torchvision"):
        name = str(answer.timm_name(candidate)).split(".")[0]
    file = f"{candidate.name}-{candidate.image_size}.onnx"
    job = Job(
        "export_library",
        source=registry,
        name=name,
        weights=candidate.weights,
        image_size=candidate.image_size,
    )
    work.begin(KEY, job, {"path": str(job.folder / file)}, file=file, place=candidate.place)


def _offer(job: Job) -> None:
    told = work.about(KEY)
    path = job.folder / told["file"]
    st.download_button(
        f"Save {told['file']}",
        path.read_bytes,
        told["file"],
        "application/octet-stream",
        key="finder-save-onnx",
        on_click="ignore",
        type="primary",
    )
    weights = (
        ""
        if job.result["trained"]
        else (
            " The trained weights could not be downloaded, so the file has random ones: use it to "
            "measure speed only."
        )
    )
    st.html(markup.paragraph(check_text("onnx", job.result["difference"]) + weights, "faint"))


# The chart and the table


def _chart(question: Question, measured: list[MeasuredPoint]) -> None:
    known = [point for point in measured if point.candidate.top1 is not None]
    if not known:
        st.html(
            '<div class="empty-chart"><p>The chart of accuracy against '
            f"{escape(question.measured.name)} fills while networks are measured.</p></div>"
        )
        return
    rows = [_row(question, point) for point in measured]
    import pandas as pd

    figure.show(
        charts.finder_chart(question, measured), pd.DataFrame(rows), "finder", _alt(question, known)
    )
    st.html(_legend(question, measured))


def _alt(question: Question, known: list[MeasuredPoint]) -> str:
    front = [
        f"{point.candidate.title} {number(point.candidate.top1, 1)}% with "
        f"{question.measured.show(point.value)}"
        for point in answer.front(known)
    ]
    return (
        f"Scatter chart of ImageNet-1K top-1 accuracy in percent against {question.measured.name} "
        f"on {question.conditions} for {len(known)} networks. "
        f"{'On' if len(front) > 1 else 'Alone on'} the Pareto front: {'; '.join(front)}."
    )


def _legend(question: Question, measured: list[MeasuredPoint]) -> str:
    """Explain the signs that the chart has. A front of one network is no band: say which it is."""
    known = [point for point in measured if point.candidate.top1 is not None]
    front = answer.front(known)
    signs = [
        _sign(drawn.symbol, name, f"background:{drawn.color}")
        for name, drawn in charts.MARKERS.items()
        if any(point.candidate.library == name for point in known)
    ]
    if any(point.candidate.source == OWN for point in measured):
        signs.append(_sign("line dot", "your config", f"border-color:{ORANGE}"))
    if any(point.disturbed for point in known):
        signs.append(_sign("open", "disturbed"))
    if answer.winners(question, known):
        signs.append(_sign("ring", "answer"))
    signs.append(_sign("dash", "asked"))
    if len(front) > 1:
        signs.append(_sign("band", "Pareto front"))
    legend = f'<p class="faint legend">{"".join(signs)}</p>'
    if len(front) == 1 < len(known):
        legend += markup.paragraph(answer.alone(question, front[0]), "faint")
    return legend


def _sign(kind: str, name: str, style: str = "") -> str:
    return f'<span><i class="{kind}" style="{style}"></i>{name}</span>'


def _row(question: Question, point: MeasuredPoint) -> dict[str, Any]:
    candidate = point.candidate
    return {
        "network": candidate.title,
        "library": candidate.library,
        "weights": candidate.weights,
        "trained_on": candidate.trained_on if candidate.top1 else "",
        "top1": candidate.top1,
        "test_set": candidate.test_set,
        question.objective: round(point.value, 4),
        "gflops": candidate.gflops,
        "params_m": candidate.params_m,
        "date": point.date,
        "disturbed": point.disturbed,
    }


def _table(question: Question, measured: list[MeasuredPoint]) -> None:
    import pandas as pd

    with st.expander("All measured networks"):
        number_of = st.column_config.NumberColumn
        st.dataframe(
            pd.DataFrame([_row(question, point) for point in measured]),
            column_config={
                "network": st.column_config.TextColumn("Network", width=260, pinned=True),
                "library": "From",
                "weights": "Weights",
                "trained_on": "Trained on",
                "top1": number_of("Top-1, %", format="%.1f"),
                "test_set": "Test set",
                question.objective: number_of(
                    f"{question.measured.name.capitalize()}, {question.measured.unit}",
                    format="%.2f",
                ),
                "gflops": number_of("GFLOPs", format="%.1f"),
                "params_m": number_of("Params, M", format="%.1f"),
                "date": "Measured on",
                "disturbed": "Disturbed",
            },
            hide_index=True,
            key="finder-rows",
            alt="Table of every measured network with its figures.",
        )
