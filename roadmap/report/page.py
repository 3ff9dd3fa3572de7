"""The report as a single HTML file that works offline, with styles, charts and Plotly inside."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

from plotly.offline import get_plotlyjs

from roadmap.analysis.ablation import Ablation
from roadmap.analysis.table import curve_table, rows, rows_table
from roadmap.charts import ablation as charts
from roadmap.charts import roadmap_bars
from roadmap.charts.curves import learning_curves, mean_curves
from roadmap.charts.ranks import rank_slopes
from roadmap.report import facts, text
from roadmap.report.effects_section import effects_section
from roadmap.report.figures_table import Figures, figures_table, legend
from roadmap.runs import Runs
from roadmap.tables.results import roadmap_table
from roadmap.text import counted, data_title, number

if TYPE_CHECKING:
    from pandas import DataFrame
    from plotly.graph_objects import Figure

STYLE = Path(__file__).with_name("page.css")
TABLE_NOTE = (
    "±: standard deviation over seeds. p: adjusted for all changes tested. Published: top-1 on "
    "ImageNet-1K."
)
CONFIG = {"displayModeBar": False, "responsive": True}


def page(ablation: Ablation, found: Runs) -> str:
    """Return the whole page. Raises ``ResultsError`` for unreadable learning curves."""
    figures = rows(ablation)
    table = rows_table(figures)
    title = f"{ablation.roadmap.title}, trained on {data_title(ablation.data)}"
    body = "".join(
        (
            _head(ablation, found, title),
            _changes(ablation, figures, table),
            _accuracies(ablation, table),
            _costs(ablation, table),
            _curves(curve_table(ablation.roadmap, ablation.runs)),
            _effects(ablation, found),
            _section(
                "All figures",
                figures_table(figures)
                + _faint(f"{TABLE_NOTE} {text.timing(ablation)} {_tried(table, 'Faint')}"),
            ),
            _section("How the tests work", _ordered(text.METHOD)),
            _left_out(ablation, found),
        )
    )
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(title)}</title>\n<style>\n{STYLE.read_text(encoding='utf-8')}</style>\n"
        f"<script>{get_plotlyjs()}</script>\n</head>\n<body>\n<main>\n{body}</main>\n"
        "</body>\n</html>\n"
    )


def _head(ablation: Ablation, found: Runs, title: str) -> str:
    known = "".join(
        f"<div><dt>{escape(name)}</dt><dd>{escape(value)}</dd></div>"
        for name, value in facts.facts(ablation)
    )
    said = "".join(f"<li>{escape(note)}</li>" for note in text.notes(ablation, found))
    return (
        f'<header>\n<p class="eyebrow">Trained and tested, {escape(facts.dates(ablation.runs))}</p>'
        f'\n<h1>{escape(title)}</h1>\n<p class="lead">{escape(text.finding(ablation))}</p>\n'
        f'<dl class="facts">{known}</dl>\n'
        + (f'<ul class="notes">{said}</ul>\n' if said else "")
        + "</header>\n"
    )


def _changes(ablation: Ablation, figures: Sequence[Figures], table: DataFrame) -> str:
    """Return the section on changes and their intervals, if there are any."""
    if not table["change"].notna().any():
        return ""
    signs = "".join(
        f'<li><i class="sign {kind}"></i>{escape(name)}</li>' for kind, name in legend(figures)
    )
    alt = f"Change in top-1, in points, with 95% interval and verdict: {text.listed(figures)}."
    return _section(
        "Effect of each change",
        _text(text.changes(ablation))
        + "".join(map(_text, text.tests(ablation)))
        + f'<ul class="legend">{signs}</ul>\n'
        + _chart(charts.change_intervals(table), "changes", alt),
    )


def _accuracies(ablation: Ablation, table: DataFrame) -> str:
    here = _chart(
        charts.trained_dots(table),
        "trained",
        _alt("Mean top-1 here", table["title"], table["top1"], 2, "%"),
        f"Trained on {data_title(ablation.data)}",
    )
    published = _published(ablation)
    return _section(
        "Accuracy here and as published",
        _text(text.agreement(ablation))
        + f'<div class="two">{here}{_paper(published)}</div>'
        + _faint(_dots_note(table, published))
        + ("" if ablation.agreement is None else _ranks(table)),
    )


def _ranks(table: DataFrame) -> str:
    both = table[table["paper_top1"].notna()]
    ends = [both[key].rank(ascending=False) for key in ("top1", "paper_top1")]
    listed = "; ".join(
        f"{title} {here:g} and {paper:g}"
        for title, here, paper in zip(both["title"], *ends, strict=True)
    )
    drawn = _chart(
        rank_slopes(table),
        "ranks",
        f"Rank of each step by top-1, here and as published: {listed}.",
        "Order here and as published, best step first",
    )
    return f'<div class="slopes">{drawn}</div>'


def _paper(published: DataFrame) -> str:
    if published["top1"].isna().all():
        return ""
    return _chart(
        roadmap_bars(published),
        "paper",
        _alt("Top-1 as published", published["title"], published["top1"], 2, "%"),
        "As published, on ImageNet-1K",
    )


def _dots_note(table: DataFrame, published: DataFrame) -> str:
    whiskers = []
    if table["top1_low"].notna().any():
        whiskers.append("95% interval of the mean over seeds (here)")
    if "top1_low" in published and published["top1_low"].notna().any():
        whiskers.append("± one standard deviation over three seeds (paper)")
    said = [f"Whiskers: {', '.join(whiskers)}."] if whiskers else []
    return " ".join([*said, _tried(published, "Open dots")])


def _tried(table: DataFrame, look: str) -> str:
    return "" if table["adopted"].all() else f"{look}: tried but not adopted."


def _published(ablation: Ablation) -> DataFrame:
    """Return the same steps as published, with whiskers where the paper has deviations."""
    published = roadmap_table(ablation.roadmap.name)
    published = published.loc[[result.step.key for result in ablation.steps]]
    if "top1_std" in published:
        published["top1_low"] = published["top1"] - published["top1_std"]
        published["top1_high"] = published["top1"] + published["top1_std"]
    return published


def _costs(ablation: Ablation, table: DataFrame) -> str:
    """Return accuracy against GFLOPs, unless all steps share them, and training time."""
    timed, time = charts.with_time(table[table["seconds"].notna()])
    drawn = said = ""
    if table["gflops"].nunique() > 1:
        alt = _alt("GFLOPs", table["title"], table["gflops"], 2, "")
        drawn += _chart(charts.accuracy_against(table), "gflops", alt, "Against GFLOPs")
        said += " GFLOPs are those of the full network at 224 pixels."
    alt = _alt("Training time", timed["title"], timed[time.key], time.decimals, time.unit)
    caption = f"Against training time on {ablation.timed_on}"
    drawn += _chart(charts.accuracy_against(timed, time), "time", alt, caption)
    said += " Training time excludes validation and start-up."
    bars = " and vertical bars are 95% intervals" if table["top1_low"].notna().any() else ""
    said = f"Points are numbered as the steps in the table below{bars}.{said}"
    return _section("Accuracy and cost", f'<div class="two">{drawn}</div>{_faint(said)}')


def _curves(curves: DataFrame) -> str:
    drawn = []
    for place, group in enumerate(dict.fromkeys(curves["group"])):
        means = mean_curves(curves[curves["group"] == group])
        last = means.groupby("key", sort=False).last()
        alt = _alt(f"Learning curves, {group}, last epoch", last["title"], last["value"], 2, "%")
        drawn.append(_chart(learning_curves(curves, group), f"curve{place}", alt, group))
    return _section(
        "Learning curves",
        _text(
            "Top-1 on the validation images after each epoch, in percent, mean over seeds; all "
            "other steps are gray."
        )
        + f'<div class="panels">{"".join(drawn)}</div>',
    )


def _effects(ablation: Ablation, found: Runs) -> str:
    section = effects_section(found.points, ablation.data)
    if section is None:
        return ""
    said, drawn, alt = section
    return _section(
        "Value of each change", "".join(map(_text, said)) + _chart(drawn, "effects", alt)
    )


def _left_out(ablation: Ablation, found: Runs) -> str:
    items = [
        (run.path, f"{run.status} after {run.epochs} of {counted(run.recipe['epochs'], 'epoch')}")
        for run in text.unfinished(ablation, found.runs)
    ]
    items += [(folder.path, folder.why) for folder in found.unreadable]
    if not items:
        return ""
    listed = "".join(f"<li><b>{escape(path.name)}</b> {escape(why)}</li>" for path, why in items)
    return _section("Folders left out", f'<ul class="left-out">{listed}</ul>')


def _section(title: str, body: str) -> str:
    return f"<section>\n<h2>{escape(title)}</h2>\n{body}\n</section>\n"


def _text(words: str) -> str:
    return f'<p class="text">{escape(words)}</p>\n'


def _faint(words: str) -> str:
    return f'<p class="faint">{escape(words.strip())}</p>\n'


def _ordered(sentences: Sequence[str]) -> str:
    return "<ol>" + "".join(f"<li>{escape(sentence)}</li>" for sentence in sentences) + "</ol>"


def _chart(figure: Figure, name: str, alt: str, caption: str = "") -> str:
    """Return ``figure`` as HTML; ``alt`` describes it to screen readers."""
    drawn = figure.to_html(
        include_plotlyjs=False, full_html=False, div_id=f"chart-{name}", config=CONFIG
    )
    head = f"<figcaption>{escape(caption)}</figcaption>" if caption else ""
    return f'<figure>{head}<div role="img" aria-label="{escape(alt)}">{drawn}</div></figure>\n'


def _alt(what: str, titles: Iterable[str], values: Iterable[Any], places: int, unit: str) -> str:
    listed = "; ".join(
        f"{title} {number(value, places)}{unit if unit == '%' else unit and ' ' + unit}"
        for title, value in zip(titles, values, strict=True)
    )
    return f"{what}: {listed}."
