"""A table of published networks of all sizes. Imports no torch."""

from __future__ import annotations

from typing import TYPE_CHECKING

from models.variants import VARIANT_TITLES
from roadmap.tables.results import ResultsError, read_table

if TYPE_CHECKING:
    from pandas import DataFrame, Series

#: Names of the measured networks, by their source and name in the tables of measurements.
MEASURED = {
    **{
        ("variant", name): VARIANT_TITLES[name]
        for name in (
            *("resnet50", "resnext50"),
            *("convnext_tiny", "convnext_small", "convnext_base", "convnext_large"),
            "convnext_xlarge",
        )
    },
    **{("timm", name): VARIANT_TITLES[name] for name in ("convnextv2_tiny", "convnextv2_base")},
    ("timm", "swin_tiny_patch4_window7_224"): "Swin-T",
    ("timm", "swin_small_patch4_window7_224"): "Swin-S",
    ("timm", "swin_base_patch4_window7_224"): "Swin-B",
    ("timm", "swin_large_patch4_window7_224"): "Swin-L",
    ("timm", "swin_base_patch4_window12_384"): "Swin-B",
    ("timm", "swin_large_patch4_window12_384"): "Swin-L",
}
FAMILIES = ("ConvNeXt", "ConvNeXt V2", "Swin", "ResNet")
PRETRAINING = {"in1k": "ImageNet-1K", "in22k": "ImageNet-22K"}
#: Names of the test sets, by column.
TEST_SETS = {
    "top1": "ImageNet-1K",
    "imagenet_real": "ImageNet-ReaL",
    "imagenet_v2": "ImageNet-V2",
    "imagenet_a": "ImageNet-A",
    "imagenet_r": "ImageNet-R",
    "sketch": "ImageNet-Sketch",
}
#: Columns that identify a result: a network may have several recipes, sizes and pre-trainings.
PLACE = ["name", "recipe", "image_size", "pretraining"]


def sizes_table() -> DataFrame:
    """Return one row per network, training recipe, pre-training and image size.

    Columns: ``key`` (unique), ``label``, ``name``, ``family``, ``recipe`` (empty for the recipe of
    the network's own paper), ``pretraining``, ``image_size`` (pixels), ``params`` (millions),
    ``gflops``, ``v100`` and ``a100`` (inference images/s), ``memory`` (GB, for a forward pass
    measured here), the columns of ``TEST_SETS`` (top-1, percent) and ``source``. Top-1 on
    ImageNet-1K is from the paper if it has the row, otherwise from timm. Raises ``ResultsError`` if
    a table is missing.
    """
    paper, timm = _paper(), _timm()
    table = paper.merge(timm, on=PLACE, how="outer", suffixes=("", "_timm"))
    table["source"] = table["top1"].notna().map({True: "paper", False: "timm"})
    table["top1"] = table["top1"].fillna(table["top1_timm"])
    counts = timm.dropna(subset="params").drop_duplicates("name").set_index("name")["params"]
    table["params"] = table["params"].fillna(table["name"].map(counts))
    table["params"] = table["params"].fillna(table["paper_params"])
    table["gflops"] = table["gflops"].fillna(table["name"].map(_counted_gflops()))
    table["family"] = table["name"].map(family)
    table["label"] = table.apply(_label, axis=1)
    table["key"] = table.apply(_key, axis=1)
    table = table.merge(_memory(), on=["name", "image_size"], how="left")
    table["rank"] = table["family"].map(FAMILIES.index)
    order = ["rank", "pretraining", "image_size", "gflops", "name", "top1"]
    table = table.sort_values(order, ignore_index=True)
    numbers = ["params", "gflops", "v100", "a100", "memory", *TEST_SETS]
    return table[["key", "label", "family", *PLACE, *numbers, "source"]]


def pareto_front(table: DataFrame, x: str, y: str, *, more_is_better: bool) -> DataFrame:
    """Return the rows that no other row beats in both ``x`` and ``y``, sorted by ``x``.

    Higher ``y`` is better. Lower ``x`` is better, or higher with ``more_is_better``; values of
    ``x`` within 1% count as equal, since sources round them differently. Rows without ``x`` or
    ``y`` are excluded.
    """
    rows = table.dropna(subset=[x, y]).sort_values([x, y])
    cost = rows[x].astype(float) ** (-1 if more_is_better else 1)
    value = rows[y].astype(float)
    best = [
        not ((cost <= 1.01 * own) & (value > top)).any()
        and not ((cost < own / 1.01) & (value >= top)).any()
        for own, top in zip(cost, value, strict=True)
    ]
    return rows[best]


def family(name: str) -> str:
    """Return the family of a network: its name without the size; ResNeXt counts as ResNet."""
    head = name.rsplit("-", 1)[0]
    return "ResNet" if head in ("ResNet", "ResNeXt") else head


def _paper() -> DataFrame:
    table = read_table("paper/paper_variants")
    names = {
        "model": "name",
        "params_m": "paper_params",
        "v100_images_per_s": "v100",
        "a100_images_per_s": "a100",
    }
    return table.rename(columns=names).assign(recipe="")


def _timm() -> DataFrame:
    table = read_table("paper/published_models")
    table["recipe"] = table["recipe"].fillna("")
    names = {"img_size": "image_size", "params_m": "params"}
    return table.rename(columns=names).drop(columns=["model", "top5"])


def _counted_gflops() -> dict[str, float]:
    table = _named(read_table("measured/complexity"))
    return dict(zip(table["name"], table["macs"] / 1e9, strict=True))


def _memory() -> DataFrame:
    """Return peak memory in GB by network and image size; empty if it was not measured."""
    import pandas as pd

    try:
        table = _named(read_table("measured/memory"))
    except ResultsError:
        return pd.DataFrame({"name": [], "image_size": [], "memory": []})
    return table.rename(columns={"peak_memory_gb": "memory"})[["name", "image_size", "memory"]]


def _named(table: DataFrame) -> DataFrame:
    """Return the rows of the networks in ``MEASURED``, with their names."""
    names = [MEASURED.get(place) for place in zip(table["source"], table["name"], strict=True)]
    return table.assign(name=names).dropna(subset="name")


def _label(row: Series) -> str:
    """Return the network's name with its recipe, image size and pre-training if not the default."""
    words = [row["name"], row["recipe"]]
    words.append("" if row["image_size"] == 224 else str(row["image_size"]))
    words.append("22K" if row["pretraining"] == "in22k" else "")
    return ", ".join(word for word in words if word)


def _key(row: Series) -> str:
    return "-".join(row["label"].lower().replace(",", "").split())
