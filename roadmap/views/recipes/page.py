"""The training recipes: fields, learning rates, augmented pictures, gain of each change."""

from __future__ import annotations

import base64
from html import escape
from typing import TYPE_CHECKING, Any, Literal

import streamlit as st

from models.remembered import remembered
from roadmap.background.previews import PreviewError, preview
from roadmap.charts import recipes as charts
from roadmap.html_table import Cell, Row, html_table, row_head, wide
from roadmap.palette import GROUP_COLORS
from roadmap.recipes import RECIPES, SUBJECTS, Recipe
from roadmap.steps import ROADMAPS
from roadmap.tables import schedules
from roadmap.tables.results import read_rows, step_rows
from roadmap.text import ABSENT, change, number
from roadmap.views.common import figure, markup, pictures, tables, turns
from roadmap.views.common.bounds import known, within
from roadmap.views.common.controls import choice, titled
from roadmap.views.common.number_field import number_field
from roadmap.views.recipes.text import TITLES, value

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pandas import DataFrame

#: The roadmap that changes how one network is trained.
RECIPE_ROADMAP = next(r for r in ROADMAPS.values() if not r.changes_networks)
PARTS = {
    "fields": "Field by field",
    "rate": "Learning rate",
    "pictures": "Augmentation",
    "gains": "Gain of each change",
}
RATES = {"relative": "Relative", "absolute": "Absolute"}
METHODS = {
    "randaugment": "RandAugment",
    "trivial": "TrivialAugmentWide",
    "erasing": "Random erasing",
    "mixup": "Mixup",
    "cutmix": "CutMix",
    "recipe": "A whole recipe",
}
WHAT = {
    "randaugment": "Two operations per image, each applied with probability 0.5, all at about the "
    "same magnitude (Cubuk et al. 2020, timm's version).",
    "trivial": "One operation per image, at one of 31 random strengths, so there is nothing to "
    "tune "
    "(Müller and Hutter 2021).",
    "erasing": "A rectangle of 2% to 33% of the image becomes noise or the mean color "
    "(Zhong et al. 2020).",
    "mixup": "Pairs of images are blended, and so are their labels; the share of each image is "
    "drawn from Beta(alpha, alpha) (Zhang et al. 2018).",
    "cutmix": "A rectangle is replaced by that of a second image, and the labels are mixed in "
    "proportion to the area (Yun et al. 2019).",
    "recipe": "A batch as in training: random crop and flip, operations, erasing, and mixing of "
    "pairs.",
}
#: The strength slider of each method that has one: label, minimum, maximum, start, step.
STRENGTHS: dict[str, tuple[str, float, float, float, float]] = {
    "randaugment": ("Magnitude", 0.0, 10.0, 9.0, 0.5),
    "erasing": ("Probability", 0.0, 1.0, 0.5, 0.05),
    "mixup": ("Alpha", 0.1, 2.0, 0.8, 0.1),
    "cutmix": ("Alpha", 0.1, 2.0, 1.0, 0.1),
}
MOST_SEED = 9999
MOST_KEPT = 10_000_000  # characters of cached example pictures


def show() -> None:
    """Show the whole page; one part at a time, so that only pictures import torch."""
    st.html(
        markup.opening(
            "Recipes",
            "With newer recipes, the same ResNet-50 gains about five points of top-1. This page "
            "compares four recipes: the ResNet paper's, the later ones of timm and TorchVision for "
            "the same network, and ConvNeXt's.",
        )
    )
    _part()


@turns.fragment
def _part() -> None:
    part = choice("recipes", "part", "Show", PARTS, wrap=True, label_visibility="collapsed")
    {"fields": _fields, "rate": _rate, "pictures": _pictures, "gains": _gains}[part]()


# Field by field


def _fields() -> None:
    base = choice("recipes", "base", "Mark differences from", TITLES, wrap=True)
    rows: list[Row | list[Cell]] = [*_published()]
    for subject, fields in SUBJECTS.items():
        group = Cell(subject, heads=True, attributes={"scope": "rowgroup", "colspan": "5"})
        rows += [
            Row([group], "subject"),
            *(_field(name, text.title, base) for name, text in fields.items()),
        ]
    st.html(
        wide(html_table(["", *TITLES.values()], rows, "fields"), "Recipes")
        + markup.paragraph(
            "Δ differs from the selected recipe. – not applicable. Learning rates are for the "
            "given batch size. Top-1 is as printed in each publication; the roadmap starts from "
            f"another run of the first recipe, with {_start()}%. The Method page lists the "
            "sources.",
            "faint below",
        )
    )


def _start() -> str:
    """Return the top-1 of the first step of the roadmap, which is trained with the first recipe."""
    return number(next(row["top1"] for row in step_rows("resnet50")), 2)


def _field(field: str, title: str, base: str) -> list[Cell]:
    compared = value(RECIPES[base], field)
    cells = [row_head(title)]
    for recipe in TITLES:
        text = value(RECIPES[recipe], field)
        differs = text not in (compared, ABSENT)
        sign = '<span class="delta" aria-label="differs">Δ</span>' if differs else ""
        cells.append(Cell(text, "differs" if differs else "", before=sign))
    return cells


def _published() -> list[list[Cell]]:
    """Return the rows with each recipe's network and published top-1."""
    rows = {row["field"]: row for row in read_rows("paper/recipes")}
    top1 = (f"{number(float(rows['top1_imagenet'][recipe]), 1)}%" for recipe in TITLES)
    return [
        [row_head("Network"), *(Cell(rows["architecture"][recipe]) for recipe in TITLES)],
        [row_head("ImageNet-1K top-1"), *(Cell(text, "now") for text in top1)],
    ]


# The learning rate


@st.cache_data(show_spinner=False)
def _schedules() -> DataFrame:
    return schedules.schedule_table(RECIPES)


def _rate() -> None:
    relative = choice("recipes", "rate", "Rates", RATES, wrap=True) == "relative"
    table = _schedules()
    figure.show(
        charts.schedules(table, TITLES, relative=relative), table, "schedules", _rate_alt(table)
    )
    keys = "".join(
        f'<span><i class="line {dash}" style="color:{color}"></i>{escape(title)}</span>'
        for (color, dash, _), title in zip(charts.LINES, TITLES.values(), strict=True)
    )
    st.html(f'<p class="faint legend">{keys}</p>')
    st.html(
        markup.paragraph(
            f"Computed by the function that training calls at every step, for "
            f"{schedules.IMAGENET_IMAGES:,} training images and each recipe's own batch size. SGD, "
            "LAMB and AdamW scale their steps differently, so absolute rates can only be compared "
            "between recipes with the same optimizer. Relative to their highest rates, timm A1 and "
            "TorchVision have the same curve.",
            "faint below",
        )
    )


def _rate_alt(table: DataFrame) -> str:
    parts = []
    for name, recipe in RECIPES.items():
        peak = table[table["recipe"] == name]["rate"].max()
        shape = (
            "a cosine to 0"
            if recipe.schedule == "cosine"
            else (f"steps of × {recipe.step_gamma:g} every {recipe.step_epochs} epochs")
        )
        warm = f"{recipe.warmup_epochs} epochs of warm-up, " if recipe.warmup_epochs else ""
        parts.append(f"{TITLES[name]}: {warm}highest {peak:g}, {shape}, {recipe.epochs} epochs")
    return f"Line chart of the learning rate of four recipes. {'; '.join(parts)}."


# Augmentation of pictures


def _pictures() -> None:
    method = choice("recipes", "method", "Method", METHODS, wrap=True)
    st.html(markup.paragraph(WHAT[method], "why"))
    with st.container(horizontal=True, gap="medium", vertical_alignment="bottom"):
        recipe = _recipe_controls(method)
        seed, wrong = _seed()
    if wrong:
        st.html(markup.refusal(wrong))
    grid = st.container()
    uploads = st.file_uploader(
        "Your own pictures: up to 8, at most 10 MB each (stored only on this explorer's server)",
        type=["jpg", "jpeg", "png", "webp"],
        accept_multiple_files=True,
        max_upload_size=pictures.MOST_BYTES // 2**20,
        key="recipes-uploads",
    )
    with grid, st.spinner("Loading PyTorch (first time only)"):
        kept = st.session_state.setdefault("recipes-read", {})
        chosen, problems = pictures.read(uploads, kept)
        for problem in problems:
            st.html(markup.notice(problem))
        crop = method == "recipe"
        try:
            if chosen:
                drawn = _grid(pictures.paired(chosen), recipe, seed, crop)
            else:
                drawn = _examples(recipe, seed, crop)
        except PreviewError as error:
            st.html(markup.notice(str(error)))
        else:
            st.html(drawn + _credits())


def _recipe_controls(method: str) -> Recipe:
    """Return a recipe with only ``method``, at the chosen strength, or a whole recipe."""
    if method == "recipe":
        name = st.selectbox(
            "Recipe",
            list(TITLES),
            index=3,
            format_func=titled(TITLES),
            key="recipes-whole",
            width=200,
        )
        return RECIPES[known(name, list(TITLES))]
    strength = _strength(method)
    if method == "erasing":
        fills: dict[Literal["noise", "mean"], str] = {"noise": "noise", "mean": "the mean color"}
        fill = st.selectbox(
            "Fill",
            list(fills),
            key="recipes-fill",
            width=200,
            format_func=titled(fills),
        )
        return Recipe(random_erasing=strength, erasing_fill=known(fill, list(fills)))
    return {
        "randaugment": Recipe(auto_augment=f"rand-m{strength:g}-mstd0.5-inc1"),
        "trivial": Recipe(auto_augment="trivial"),
        "mixup": Recipe(mixup=strength),
        "cutmix": Recipe(cutmix=strength),
    }[method]


def _strength(method: str) -> float:
    if method not in STRENGTHS:
        return 0.0
    label, least, most, start, step = STRENGTHS[method]
    strength = st.slider(
        label, least, most, start, step, format="%g", key=f"recipes-strength-{method}", width=260
    )
    return within(strength, least, most)


def _seed() -> tuple[int, str]:
    """Return the random seed, which a button advances, and what is wrong with the typed one."""

    def following() -> None:
        st.session_state["recipes-seed"] = (st.session_state["recipes-seed"] + 1) % MOST_SEED

    st.session_state.setdefault("recipes-seed", 0)
    seed, wrong = number_field("Seed", 0, MOST_SEED, "recipes-seed", width=130)
    st.button("Draw again", on_click=following)
    return seed, f"{wrong} Using {seed:,}." if wrong else ""


@remembered(MOST_KEPT, str.__len__)
def _examples(recipe: Recipe, seed: int, crop: bool) -> str:
    return _grid(pictures.examples(), recipe, seed, crop)


def _grid(shown: Sequence[tuple[Any, str]], recipe: Recipe, seed: int, crop: bool) -> str:
    """Return each picture before and after, with the draws as caption. Raises ``PreviewError``."""
    drawn = preview([picture for picture, _ in shown], recipe, seed, crop=crop)
    cells = []
    for (_, seen), before, after, note in zip(
        shown, drawn.before, drawn.after, drawn.notes, strict=True
    ):
        said = f"{note}, after a random crop" if crop else note
        cells.append(
            '<figure class="pair">'
            + _image(before, f"{seen}, before")
            + _image(after, f"{seen}, after: {said}")
            + f"<figcaption>{escape(note)}</figcaption></figure>"
        )
    return f'<div class="pairs">{"".join(cells)}</div>'


def _image(picture: Any, alt: str) -> str:
    data = base64.b64encode(pictures.jpeg(picture)).decode()
    return f'<img src="data:image/jpeg;base64,{data}" alt="{escape(alt)}">'


def _credits() -> str:
    license_name, terms = pictures.LICENSE
    authors = " and ".join(
        f'<a href="{page}">{escape(author)}</a>' for _, author, page in pictures.CREDITS
    )
    return (
        '<p class="faint below">Left: before, as in validation. Right: after, computed by the '
        "training code. Mixup and CutMix mix pairs: first and second picture, third and fourth, "
        "and "
        f'so on. Photographs by {authors} (<a href="{terms}">{license_name}</a>), cropped, from '
        "scikit-learn.</p>"
    )


# Gain of each change


def _gains() -> None:
    table = tables.steps(RECIPE_ROADMAP.name)
    figure.show(charts.gains(table), table, "gains", _gains_alt(table))
    groups = "".join(
        f'<span><i style="background:{GROUP_COLORS[group]}"></i>{group}</span>'
        for group in dict.fromkeys(table["group"])
    )
    st.html(f'<p class="faint legend">{groups}</p>')
    rows = [
        (step.title, _change_text(table, place), number(table["top1"].iloc[place], 2), step.why)
        for place, step in enumerate(RECIPE_ROADMAP.steps)
    ]
    st.html(
        markup.paragraph(
            "All rows train the same ResNet-50. Each change is added to those above it, so its "
            "gain also depends on them.",
            "why",
        )
        + markup.recipe_table(("Change", "Gain", "Top-1 %", "Why"), rows)
    )


def _change_text(table: DataFrame, place: int) -> str:
    return change(table["top1"].iloc[place], table["top1"].shift().iloc[place], 2)


def _gains_alt(table: DataFrame) -> str:
    steps = "; ".join(
        f"{title} {number(table['top1'].iloc[place], 2)} ({_change_text(table, place)})"
        for place, title in enumerate(table["title"])
    )
    return (
        f"Waterfall chart of ImageNet-1K top-1 of ResNet-50 under the TorchVision recipe: {steps}."
    )
