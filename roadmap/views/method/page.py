"""Where every figure comes from: definitions, measurements, audit, sources, open questions."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from html import escape
from typing import TYPE_CHECKING

import streamlit as st

from roadmap.analysis.audit import AuditRow, audit
from roadmap.html_table import NUMBER, Cell, Row, html_table, row_head, wide
from roadmap.html_table import numbers as in_numbers
from roadmap.steps import ROADMAPS
from roadmap.tables import results
from roadmap.tables.results import ResultsError
from roadmap.text import ABSENT, data_title, number
from roadmap.views.common import markup
from roadmap.views.method import init as method_init
from roadmap.views.method.text import (
    AUDIT,
    BENCHMARK,
    DEFINITIONS,
    MEMORY,
    PROFILE,
    SOURCES,
    TRAINING,
    UNKNOWN,
)

if TYPE_CHECKING:
    from pandas import DataFrame


def show() -> None:
    """Show the whole page, in one column of text."""
    with st.container(key="method"):
        st.html(
            markup.opening(
                "Method",
                "Every figure in the explorer comes from a table that states its source, or is "
                "counted from the network when you open a page. This page describes how the tables "
                "were made.",
            )
        )
        for title, section in SECTIONS.items():
            with st.expander(title, expanded=section is _definitions):
                section()


# Pieces of the page


def _text(*paragraphs: str) -> str:
    return "".join(markup.paragraph(text, "text") for text in paragraphs)


def _table(head: Sequence[str], rows: Iterable[Sequence[str]], numbers: Sequence[int] = ()) -> str:
    """Return a table; the columns ``numbers`` are right-aligned."""

    def cells(texts: Sequence[str]) -> list[Cell]:
        return [Cell(text, NUMBER if at in numbers else "") for at, text in enumerate(texts)]

    return wide(html_table(cells(head), map(cells, rows), "plain"), ", ".join(head) or "Table")


@st.cache_data(show_spinner=False)
def _read(name: str) -> DataFrame | None:
    """Return a table of measurements, or None if it does not exist."""
    try:
        return results.read_table(f"measured/{name}")
    except ResultsError:
        return None


def _joined(table: DataFrame, column: str) -> str:
    """Return the distinct values of a column, in order, or a dash."""
    return ", ".join(str(value) for value in table[column].dropna().unique()) or ABSENT


def _dates(table: DataFrame) -> str:
    first, last = table["date"].min(), table["date"].max()
    return str(first) if first == last else f"{first} to {last}"


# Sections


def _definitions() -> None:
    terms = "".join(
        f"<dt>{escape(term)}</dt><dd>{escape(meaning)}</dd>" for term, meaning in DEFINITIONS
    )
    st.html(f'<dl class="terms">{terms}</dl>')


def _measurements() -> None:
    st.html(
        _text(
            "Published figures are copied unchanged. All others were measured with the commands "
            "below; the tables record versions, devices and dates.",
        )
        + _complexity()
        + _throughput()
        + _memory()
        + _training()
    )


def _complexity() -> str:
    table = _read("complexity")
    if table is None:
        return ""
    rows = [
        (
            "Networks",
            f"{len(table)}, built and traced at {_joined(table, 'image_size')} pixels",
        ),
        ("Counter", f"fvcore {_joined(table, 'fvcore')}"),
        ("Versions", f"torch {_joined(table, 'torch')}, timm {_joined(table, 'timm')}"),
        ("Date", _dates(table)),
    ]
    return (
        markup.heading("Parameters, GFLOPs and activations", 3, "subsection")
        + markup.paragraph(
            "Tests compare every step and size with two other counts: one from the block "
            "specification (which the Builder uses), and one by PyTorch's FlopCounterMode.",
            "text",
        )
        + _table((), rows)
        + markup.command(PROFILE)
    )


def _throughput() -> str:
    table = _read("throughput")
    if table is None:
        return ""
    rows = [
        (
            device,
            dtype,
            str(batch),
            str(len(found[["source", "name"]].drop_duplicates())),
            str(found["repetitions"].max()),
            _joined(found, "torch"),
            _joined(found, "cuda"),
            _dates(found),
        )
        for (device, dtype, batch), found in table.groupby(
            ["device_name", "dtype", "batch_size"], sort=False
        )
    ]
    head = ("Device", "Type", "Batch", "Networks", "Runs", "torch", "CUDA", "Date")
    return (
        markup.heading("Speed and memory of the steps", 3, "subsection")
        + markup.paragraph(
            "Inference and training, eager and (on the GPU) compiled. On the GPU, depthwise "
            "convolutions use our kernels; for ResNet-50's roadmap, PyTorch's were timed too. "
            "After five warm-up runs, runs follow each other without a pause and are timed with "
            "device events. One network was measured under two names; their difference estimates "
            "the measurement error.",
            "text",
        )
        + _table(head, rows, numbers=(2, 3, 4))
        + markup.command(BENCHMARK)
        + markup.paragraph(_repeatability(table), "text")
    )


def _repeatability(table: DataFrame) -> str:
    """Say how much the two names of one network differ, by device."""
    pairs = table[(table["source"] == "resnet50") & table["name"].isin(["baseline", "training"])]
    place = ["device_name", "mode", "dtype", "compiled", "batch_size"]
    speeds = pairs.pivot_table(index=place, columns="name", values="images_per_s", aggfunc="last")
    if not {"baseline", "training"} <= set(speeds.columns):
        return ""
    apart = (speeds["training"] / speeds["baseline"] - 1).abs() * 100
    said = " and ".join(
        f"{number(value, 1)}% on {device}"
        for device, value in apart.groupby(level="device_name", sort=False).max().items()
    )
    return f"The speeds of ResNet-50 under its two names differ by at most {said}."


def _memory() -> str:
    table = _read("memory")
    if table is None:
        return ""
    text = (
        f"The areas on the Sizes page show the memory of a forward pass in "
        f"{_joined(table, 'dtype')}, batch {_joined(table, 'batch_size')}, on "
        f"{_joined(table, 'device_name')}, with torch {_joined(table, 'torch')} "
        f"({_dates(table)}). Each network ran in its own process. Compare these figures only with "
        "each other: a GPU allocates different buffers."
    )
    return (
        markup.heading("Memory of the sizes", 3, "subsection")
        + markup.paragraph(text, "text")
        + markup.command(MEMORY)
    )


def _training() -> str:
    table = _read("training")
    if table is None:
        return ""
    kept = table[table["what"].isin(["end to end, steady", "timm, steady"])]
    rows = [
        (
            device,
            data_title(str(data)),
            ROADMAPS[roadmap].step(step).title,
            _share(found, "end to end, steady"),
            _share(found, "timm, steady"),
        )
        for (device, data, scale, roadmap, step), found in kept.groupby(
            ["device_name", "data", "scale", "roadmap", "step"], sort=False
        )
        if scale == "full"
    ]
    return (
        markup.heading("End-to-end training speed", 3, "subsection")
        + markup.paragraph(
            "Speed when images are read, augmented and mixed, as a percentage of the bare "
            "training step on random tensors: for our training loop, and for a loop as in timm's "
            "train.py with the same network, data and recipe. CPU rows are processor time on a "
            "shared machine, so a value can exceed 100%.",
            "text",
        )
        + _table(("Device", "Data", "Network", "Ours", "timm's"), rows, numbers=(3, 4))
        + markup.command(TRAINING)
    )


def _share(table: DataFrame, what: str) -> str:
    found = table[table["what"] == what]["share_of_bare"]
    return f"{number(100 * float(found.iloc[-1]), 0)}%" if len(found) else ABSENT


def _audits() -> None:
    audited = {name: audit(name) for name in ("resnet50", "resnet200")}
    every = [row for rows in audited.values() for row in rows]
    wrong = [row for row in every if not row.agrees]
    steps = [row for row in wrong if row.key != "swin"]
    st.html(
        _text(
            f"{sum(row.agrees for row in every)} of the {len(every)} GFLOPs figures in Tables 10 "
            f"and 11 match the networks built here to both decimals. The last {len(steps)} steps "
            "of Table 10 differ, and Swin-T differs in the last digit.",
        )
        + "".join(_explained(row) for row in wrong)
        + markup.paragraph(
            "Table 11 lists the same steps for the larger network, without such a jump: layer norm "
            "adds no GFLOPs, and separate downsampling does.",
            "text",
        )
        + '<div class="audits">'
        + "".join(_audit(name, rows) for name, rows in audited.items())
        + "</div>"
        + markup.command(AUDIT)
    )


def _explained(row: AuditRow) -> str:
    printed = number(row.paper_gflops, 2)
    return markup.paragraph(f"{_title(row)}: the paper prints {printed}. {row.note}", "text aside")


def _audit(roadmap: str, rows: Sequence[AuditRow]) -> str:
    lines = (
        Row(
            [
                row_head(_title(row)),
                *in_numbers([number(row.paper_gflops, 2), number(row.gflops, 2)]),
                Cell("" if row.agrees else "≠", NUMBER),
            ],
            "" if row.agrees else "off",
        )
        for row in rows
    )
    caption = f"Table {rows[0].table}, {ROADMAPS[roadmap].title}, GFLOPs"
    return html_table(["Step", *in_numbers(["Paper", "Counted", ""])], lines, "plain", caption)


def _title(row: AuditRow) -> str:
    return row.label if row.key == "swin" else ROADMAPS[row.roadmap].step(row.key).title


def _initialization() -> None:
    said, rows = method_init.networks(), method_init.check()
    text = _text(*said)
    if rows:
        text += markup.paragraph(method_init.finding(rows), "text")
        text += _table(method_init.HEAD, map(method_init.cells, rows), numbers=(1, 2, 3))
        text += markup.paragraph("Top-1 in percent by initialization and learning rate.", "faint")
    st.html(text)


def _unknown() -> None:
    items = "".join(f"<li>{escape(text)}</li>" for text in UNKNOWN)
    st.html(f'<ul class="points">{items}</ul>')


def _sources() -> None:
    items = "".join(
        f'<li><a href="{address}">{escape(title)}</a>: {escape(what)}.</li>'
        for title, address, what in SOURCES
    )
    st.html(f'<ul class="points">{items}</ul>')


#: The sections of the page, folded but for the first.
SECTIONS: dict[str, Callable[[], None]] = {
    "Definitions": _definitions,
    "Measurements": _measurements,
    "Audit of the paper's GFLOPs": _audits,
    "Initialization: the authors' networks and ours": _initialization,
    "Open questions": _unknown,
    "Sources": _sources,
}
