"""How every figure came about: definitions, measurements, the audit, sources, what is not known."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape
from typing import TYPE_CHECKING

import streamlit as st

from roadmap.analysis.audit import AuditRow, audit
from roadmap.steps import ROADMAPS
from roadmap.tables import results
from roadmap.tables.results import ResultsError
from roadmap.text import ABSENT, number
from roadmap.views.common import markup
from roadmap.views.method import init as method_init
from roadmap.views.method.text import (
    AUDIT,
    BENCHMARK,
    DEFINITIONS,
    LATENCY,
    LOAD,
    LOAD_TEXT,
    MEMORY,
    PROFILE,
    SOURCES,
    TRAINING,
    UNKNOWN,
    WHAT,
)

if TYPE_CHECKING:
    from pandas import DataFrame


def show() -> None:
    """The whole page, in one column of text."""
    with st.container(key="method"):
        st.html(
            markup.heading("Method", 1, "title")
            + markup.paragraph(
                "Every figure of the explorer is read from a table with its source, or counted "
                "from the network while you look. This page says how the tables came about.",
                "lead",
            )
        )
        _definitions()
        _measurements()
        _audits()
        _initialization()
        _speed_of_the_explorer()
        _unknown()
        _sources()


# Pieces of the page


def _section(title: str, *paragraphs: str) -> str:
    return markup.heading(title, 2, "section") + "".join(
        markup.paragraph(text, "text") for text in paragraphs
    )


def _table(head: Sequence[str], rows: Iterable[Sequence[str]], numbers: Sequence[int] = ()) -> str:
    """``numbers`` are the columns that align right."""

    def kind(place: int) -> str:
        return ' class="n"' if place in numbers else ""

    names = "".join(
        f'<th scope="col"{kind(place)}>{escape(text)}</th>' for place, text in enumerate(head)
    )
    top = f"<thead><tr>{names}</tr></thead>" if head else ""
    body = "".join(
        "<tr>"
        + "".join(f"<td{kind(place)}>{escape(text)}</td>" for place, text in enumerate(row))
        + "</tr>"
        for row in rows
    )
    return f'<div class="wide"><table class="plain">{top}<tbody>{body}</tbody></table></div>'


def _command(text: str) -> str:
    return f'<pre class="command">{escape(text)}</pre>'


@st.cache_data(show_spinner=False)
def _read(name: str) -> DataFrame | None:
    """A table of measurements, or None before it was made."""
    try:
        return results.read_table(f"measured/{name}")
    except ResultsError:
        return None


def _joined(table: DataFrame, column: str) -> str:
    """The different values of a column, in order; a dash where there are none."""
    return ", ".join(str(value) for value in table[column].dropna().unique()) or ABSENT


def _dates(table: DataFrame) -> str:
    first, last = table["date"].min(), table["date"].max()
    return str(first) if first == last else f"{first} to {last}"


# Sections


def _definitions() -> None:
    terms = "".join(
        f"<dt>{escape(term)}</dt><dd>{escape(meaning)}</dd>" for term, meaning in DEFINITIONS
    )
    st.html(_section("What the figures are") + f'<dl class="terms">{terms}</dl>')


def _measurements() -> None:
    st.html(
        _section(
            "How they were measured",
            "Published figures are copied as they stand. The rest was measured by the commands "
            "below; versions, devices and days are those in the tables' rows.",
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
            f"{len(table)}, each built and traced at {_joined(table, 'image_size')} pixels",
        ),
        ("Counter", f"fvcore {_joined(table, 'fvcore')}"),
        ("Versions", f"torch {_joined(table, 'torch')}, timm {_joined(table, 'timm')}"),
        ("Day", _dates(table)),
    ]
    return (
        markup.heading("Parameters, multiply-adds, activations", 3, "subsection")
        + markup.paragraph(
            "The tests hold every step and size to two other counts: from the block "
            "specification, which is what the builder uses, and by torch's own FlopCounterMode.",
            "text",
        )
        + _table((), rows)
        + _command(PROFILE)
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
    head = ("Device", "Type", "Batch", "Networks", "Runs", "torch", "CUDA", "Day")
    return (
        markup.heading("Speed and memory of the steps", 3, "subsection")
        + markup.paragraph(
            "Inference and training, eager and, on the GPU, compiled; depthwise convolutions "
            "there on our kernels, on the roadmap of ResNet-50 on PyTorch's too. Runs follow each "
            "other without a pause, after five untimed ones; device events time them. One network "
            "was measured under two names, so that their difference is the error of measurement.",
            "text",
        )
        + _table(head, rows, numbers=(2, 3, 4))
        + _command(BENCHMARK)
        + markup.paragraph(_repeatability(table), "text")
    )


def _repeatability(table: DataFrame) -> str:
    """How far the two names of one network are apart, by device."""
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
    return f"The two names of the ResNet-50 network differ by at most {said}."


def _memory() -> str:
    table = _read("memory")
    if table is None:
        return ""
    text = (
        f"The areas on the page Sizes: a forward pass in {_joined(table, 'dtype')}, batch "
        f"{_joined(table, 'batch_size')}, on {_joined(table, 'device_name')}, with torch "
        f"{_joined(table, 'torch')} ({_dates(table)}). Each network had a process of its own. "
        "Compare them with each other only: a GPU keeps other buffers."
    )
    return (
        markup.heading("Memory of the sizes", 3, "subsection")
        + markup.paragraph(text, "text")
        + _command(MEMORY)
    )


def _training() -> str:
    table = _read("training")
    if table is None:
        return ""
    kept = table[table["what"].isin(["end to end, steady", "timm, steady"])]
    rows = [
        (
            device,
            str(data),
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
        markup.heading("Speed of training on pictures", 3, "subsection")
        + markup.paragraph(
            "What is left of the bare step's speed, which sees only random tensors, once images "
            "are read, augmented and mixed: with our loop, and with one as in timm's train.py over "
            "the same network, data and recipe. The CPU's rows are processor time on a machine "
            "that was shared, so that a share may come out over 100%.",
            "text",
        )
        + _table(("Device", "Data", "Network", "Ours", "timm's"), rows, numbers=(3, 4))
        + _command(TRAINING)
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
        _section(
            "The paper's GFLOPs, audited",
            f"{sum(row.agrees for row in every)} of the {len(every)} GFLOPs in Tables 10 and 11 "
            "are, to both decimals, what the networks built here cost. "
            f"{len(steps)} steps differ, at the end of Table 10, and Swin-T by its last digit.",
        )
        + "".join(_explained(row) for row in wrong)
        + markup.paragraph(
            "Table 11 goes through the same steps for the larger network, without such a jump: "
            "LayerNorm costs no multiply-adds, separate downsampling does.",
            "text",
        )
        + '<div class="audits">'
        + "".join(_audit(name, rows) for name, rows in audited.items())
        + "</div>"
        + _command(AUDIT)
    )


def _explained(row: AuditRow) -> str:
    printed = number(row.paper_gflops, 2)
    return markup.paragraph(f"{_title(row)}: the paper prints {printed}. {row.note}", "text aside")


def _audit(name: str, rows: Sequence[AuditRow]) -> str:
    body = "".join(
        f'<tr class="{"" if row.agrees else "off"}"><th scope="row">{escape(_title(row))}</th>'
        f'<td class="n">{number(row.paper_gflops, 2)}</td>'
        f'<td class="n">{number(row.gflops, 2)}</td>'
        f'<td class="n">{"" if row.agrees else "≠"}</td></tr>'
        for row in rows
    )
    head = "".join(f'<th scope="col" class="n">{text}</th>' for text in ("Paper", "Counted", ""))
    return (
        f'<table class="plain"><caption>Table {rows[0].table}, {escape(ROADMAPS[name].title)}, '
        f'GFLOPs</caption><thead><tr><th scope="col">Step</th>{head}</tr></thead>'
        f"<tbody>{body}</tbody></table>"
    )


def _title(row: AuditRow) -> str:
    return row.label if row.key == "swin" else ROADMAPS[row.roadmap].step(row.key).title


def _initialization() -> None:
    said, rows = method_init.networks(), method_init.check()
    text = _section("Initialization: the authors' and ours", *said)
    if rows:
        text += markup.paragraph(method_init.finding(rows), "text")
        text += _table(method_init.HEAD, map(method_init.cells, rows), numbers=(1, 2, 3))
        text += markup.paragraph("Top-1 in percent, by initialization and learning rate.", "faint")
    st.html(text)


def _speed_of_the_explorer() -> None:
    latency, load = _read("app_latency"), _read("app_load")
    if latency is None and load is None:
        return
    text = _section(
        "The explorer itself",
        "In headless Chromium with an empty cache, beside a page that holds one bare Plotly chart "
        "and nothing else. Read the difference: most of the seconds to the first chart are the "
        "browser loading Plotly.",
    )
    if latency is not None:
        text += _latency(latency)
    if load is not None:
        text += _load(load)
    st.html(text)


def _latency(table: DataFrame) -> str:
    rows = [
        (
            row["what"],
            row["page"],
            f"{number(row['median_s'], 2)} s",
            f"{number(row['p10_s'], 2)} to {number(row['p90_s'], 2)} s",
            str(row["samples"]),
        )
        for row in table.to_dict("records")
    ]
    note = (
        f"{_joined(table, 'cpus')} cores, Streamlit {_joined(table, 'streamlit')}, Plotly "
        f"{_joined(table, 'plotly')}, Python {_joined(table, 'python')}, {_dates(table)}."
    )
    head = ("Until", "Page", "Median", "10th to 90th percentile", "Samples")
    return (
        _table(head, rows, numbers=(2, 3, 4)) + markup.paragraph(note, "faint") + _command(LATENCY)
    )


def _load(table: DataFrame) -> str:
    rows = [
        (
            str(row["sessions"]),
            WHAT[row["what"]],
            f"{number(row['median_s'], 2)} s",
            f"{number(row['p10_s'], 2)} to {number(row['p90_s'], 2)} s",
            f"{number(row['longest_s'], 2)} s",
            str(row["samples"]),
        )
        for row in table.to_dict("records")
    ]
    head = ("Sessions", "Until", "Median", "10th to 90th percentile", "Longest", "Samples")
    return (
        markup.heading("A class at once", 3, "subsection")
        + markup.paragraph(LOAD_TEXT, "text")
        + _table(head, rows, numbers=(0, 2, 3, 4, 5))
        + _command(LOAD)
    )


def _unknown() -> None:
    items = "".join(f"<li>{escape(text)}</li>" for text in UNKNOWN)
    st.html(_section("What is not known") + f'<ul class="points">{items}</ul>')


def _sources() -> None:
    items = "".join(
        f'<li><a href="{address}">{escape(title)}</a>: {escape(what)}.</li>'
        for title, address, what in SOURCES
    )
    st.html(_section("Sources") + f'<ul class="points">{items}</ul>')
