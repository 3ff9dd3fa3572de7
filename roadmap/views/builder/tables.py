"""Costs of a config, and of the networks it is compared with."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import streamlit as st

from models.config import ModelConfig
from models.variants import VARIANT_TITLES
from roadmap.charts.costs import STEPS
from roadmap.measure.complexity import count
from roadmap.measure.receptive_field import receptive_fields
from roadmap.measure.training_memory import training_memory
from roadmap.tables import results
from roadmap.text import ABSENT, change, number

if TYPE_CHECKING:
    from pandas import DataFrame

MEMORY_NOTE = (
    "Memory is for float32. Training state: weights, gradients and AdamW's two moments. "
    "Activation memory: the tensors that the backward pass reads. Devices need more than that."
)
CHART_NOTE = (
    "In the chart, all at 224 × 224; bold labels are your networks, the others sizes of Swin and "
    "ConvNeXt. Steps and ConvNeXt are counted here; Swin is as printed in the ConvNeXt paper."
)
SWIN_SIZES = ("Swin-T", "Swin-S", "Swin-B", "Swin-L")
CONVNEXT_SIZES = {
    name: title for name, title in VARIANT_TITLES.items() if name.startswith("convnext_")
}


@dataclass(frozen=True)
class CostRow:
    """One cost of a network, in the unit it is printed in."""

    name: str
    unit: str
    value: float
    decimals: int


def costs(config: ModelConfig, image_size: int) -> tuple[CostRow, ...]:
    """Return the costs of ``config`` per square image. Raises ``ValueError`` if it is too small."""
    counted = count(config, image_size)
    memory = training_memory(config, image_size)
    field = receptive_fields(config)[-1]
    return (
        CostRow("Parameters", "M", counted.parameters / 1e6, 1),
        CostRow("GFLOPs", "per image", counted.macs / 1e9, 2),
        CostRow("Activations", "M", counted.activations / 1e6, 1),
        CostRow("Receptive field", "pixels", field.size, 0),
        CostRow("Training state", "GB", memory.state / 1e9, 2),
        CostRow("Activation memory", "MB per image", memory.saved / 1e6, 1),
    )


def cost_rows(
    after: Sequence[CostRow], before: Sequence[CostRow] | None
) -> list[tuple[str, str, str, str]]:
    """Return rows of name, unit, value and change from ``before``, equally rounded."""
    rows = []
    for place, cost in enumerate(after):
        old = before[place].value if before else None
        decimals = digits(cost, cost.value, *([] if old is None else [old]))
        gain = ABSENT if old is None else change(cost.value, old, decimals)
        rows.append((cost.name, cost.unit, number(cost.value, decimals), gain))
    return rows


def digits(cost: CostRow, *values: float) -> int:
    """Return the decimals that show three significant digits of the largest of ``values``."""
    decimals, largest = cost.decimals, max(values)
    while cost.decimals and 0 < largest * 10**decimals < 100 and decimals < 6:
        decimals += 1
    return decimals


@st.cache_data(show_spinner=False)
def known_networks() -> DataFrame:
    """Return the table for ``charts.cost_map``. Raises ``ResultsError``."""
    import pandas as pd

    parts = [_steps(name, family) for name, family in STEPS.items()]
    counted = results.read_table("measured/complexity")
    counted = counted[counted["source"] == "variant"].set_index("name").loc[list(CONVNEXT_SIZES)]
    parts.append(
        pd.DataFrame(
            {
                "family": "ConvNeXt",
                "name": list(CONVNEXT_SIZES.values()),
                "params": (counted["params"] / 1e6).tolist(),
                "gflops": (counted["macs"] / 1e9).tolist(),
            }
        )
    )
    paper = results.read_table("paper/paper_variants")
    paper = paper[(paper["image_size"] == 224) & paper["model"].isin(SWIN_SIZES)]
    swin = paper.drop_duplicates("model").set_index("model").loc[list(SWIN_SIZES)]
    parts.append(
        pd.DataFrame(
            {
                "family": "Swin",
                "name": list(SWIN_SIZES),
                "params": swin["params_m"].tolist(),
                "gflops": swin["gflops"].tolist(),
            }
        )
    )
    return pd.concat(parts, ignore_index=True)


def _steps(roadmap: str, family: str) -> DataFrame:
    table = results.roadmap_table(roadmap).rename(columns={"title": "name"})
    return table.assign(family=family)[["family", "name", "params", "gflops"]]


def with_points(table: DataFrame, points: Sequence[tuple[str, float, float]]) -> DataFrame:
    """Return ``table`` plus the built networks, for download."""
    import pandas as pd

    built = [
        {"family": "Built", "name": name, "params": params, "gflops": gflops}
        for name, gflops, params in points
    ]
    return pd.concat([table, pd.DataFrame(built)], ignore_index=True)
