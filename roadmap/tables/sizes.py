"""Networks of every size side by side, as published: a table. Imports no torch."""

from __future__ import annotations

from typing import TYPE_CHECKING

from roadmap.tables.results import ResultsError, read_table

if TYPE_CHECKING:
    from pandas import DataFrame, Series

#: The networks of the tables of measurements, by source and name there.
MEASURED = {
    ("variant", "resnet50"): "ResNet-50",
    ("variant", "resnext50"): "ResNeXt-50",
    ("variant", "convnext_tiny"): "ConvNeXt-T",
    ("variant", "convnext_small"): "ConvNeXt-S",
    ("variant", "convnext_base"): "ConvNeXt-B",
    ("variant", "convnext_large"): "ConvNeXt-L",
    ("variant", "convnext_xlarge"): "ConvNeXt-XL",
    ("timm", "convnextv2_tiny"): "ConvNeXt V2-T",
    ("timm", "convnextv2_base"): "ConvNeXt V2-B",
    ("timm", "swin_tiny_patch4_window7_224"): "Swin-T",
    ("timm", "swin_small_patch4_window7_224"): "Swin-S",
    ("timm", "swin_base_patch4_window7_224"): "Swin-B",
    ("timm", "swin_large_patch4_window7_224"): "Swin-L",
    ("timm", "swin_base_patch4_window12_384"): "Swin-B",
    ("timm", "swin_large_patch4_window12_384"): "Swin-L",
}
FAMILIES = ("ConvNeXt", "ConvNeXt V2", "Swin", "ResNet")
PRETRAINING = {"in1k": "ImageNet-1K", "in22k": "ImageNet-22K"}
#: Test sets: column, name.
TEST_SETS = {
    "top1": "ImageNet-1K",
    "imagenet_real": "ImageNet-ReaL",
    "imagenet_v2": "ImageNet-V2",
    "imagenet_a": "ImageNet-A",
    "imagenet_r": "ImageNet-R",
    "sketch": "ImageNet-Sketch",
}
#: What one result is of: a network may be there with several recipes, sizes and pre-trainings.
PLACE = ["name", "recipe", "image_size", "pretraining"]


def sizes_table() -> DataFrame:
    """A row for each network, training recipe, pre-training and image size.

    Columns: ``key`` (unique), ``label``, ``name``, ``family``, ``recipe`` (empty: the network's
    own paper's), ``pretraining``, ``image_size`` (pixels), ``params`` (millions), ``gflops``,
    ``v100`` and ``a100`` (inference images/s), ``memory`` (GB, of a forward pass measured here),
    the columns of ``TEST_SETS`` (top-1, percent) and ``source``. Top-1 on ImageNet-1K is the
    paper's where it has the row, timm's elsewhere. Raises ``ResultsError``.
    """
    paper, timm = _paper(), _timm()
    table = paper.merge(timm, on=PLACE, how="outer", suffixes=("", "_timm"))
    table["source"] = table["top1"].notna().map({True: "paper", False: "timm"})
    table["top1"] = table["top1"].fillna(table["top1_timm"])
    counts = _per_network(timm.dropna(subset="params"), "params")
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
    """The rows that no other beats in both ``x`` and ``y``, by rising ``x``.

    Less of ``x`` is better, or more of it (``more_is_better``); more of ``y`` always is. Values of
    ``x`` within 1% of each other count as equal, since sources round them differently. Rows
    without either are left out.
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
    """The family of a network: what stands before its size, ResNeXt with ResNet."""
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


def _per_network(table: DataFrame, column: str) -> Series:
    return table.drop_duplicates("name").set_index("name")[column]


def _counted_gflops() -> dict[str, float]:
    table = _named(read_table("measured/complexity"))
    return dict(zip(table["name"], table["macs"] / 1e9, strict=True))


def _memory() -> DataFrame:
    """Peak memory in GB by network and image size; no rows before it was measured."""
    import pandas as pd

    try:
        table = _named(read_table("measured/memory"))
    except ResultsError:
        return pd.DataFrame({"name": [], "image_size": [], "memory": []})
    return table.rename(columns={"peak_memory_gb": "memory"})[["name", "image_size", "memory"]]


def _named(table: DataFrame) -> DataFrame:
    """The rows of ``MEASURED``, with its names."""
    names = [MEASURED.get(place) for place in zip(table["source"], table["name"], strict=True)]
    return table.assign(name=names).dropna(subset="name")


def _label(row: Series) -> str:
    """The network, and what sets this result apart: recipe, image size, pre-training."""
    words = [row["name"], row["recipe"]]
    words.append("" if row["image_size"] == 224 else str(row["image_size"]))
    words.append("22K" if row["pretraining"] == "in22k" else "")
    return ", ".join(word for word in words if word)


def _key(row: Series) -> str:
    return "-".join(row["label"].lower().replace(",", "").split())
