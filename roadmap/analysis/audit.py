"""Audit the GFLOPs that the paper prints."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from roadmap.tables.results import complexity_rows, paper_figures, read_rows


class Swin(NamedTuple):
    label: str
    timm_name: str


#: The transformer that each architecture roadmap is compared with.
SWIN: dict[str, Swin] = {
    "resnet50": Swin("Swin-T", "swin_tiny_patch4_window7_224"),
    "resnet200": Swin("Swin-B", "swin_base_patch4_window7_224"),
}


@dataclass(frozen=True)
class AuditRow:
    """The paper's GFLOPs (two decimals) and our count; ``note`` explains a disagreement."""

    roadmap: str
    table: str
    key: str
    label: str
    paper_gflops: float
    gflops: float
    note: str

    @property
    def agrees(self) -> bool:
        return rounds_to(self.gflops, self.paper_gflops)


def audit(roadmap: str) -> list[AuditRow]:
    """Compare each row of the paper's Table 10 or 11 with ``results/measured/complexity.csv``.

    Raises ``ResultsError`` if a table is missing.
    """
    figures = paper_figures(roadmap)
    counts = _counted_gflops(roadmap)
    rows = []
    for key, figure in figures.items():
        paper, counted = float(figure["gflops"]), counts[key]
        note = "" if rounds_to(counted, paper) else _disagreement(key, paper, counts, figures)
        rows.append(AuditRow(roadmap, figure["table"], key, figure["label"], paper, counted, note))
    return rows


def _counted_gflops(roadmap: str) -> dict[str, float]:
    rows = complexity_rows(roadmap)
    for row in read_rows("measured/complexity"):
        if (row["source"], row["name"]) == ("timm", SWIN[roadmap].timm_name):
            rows["swin"] = row
    return {key: int(row["macs"]) / 1e9 for key, row in rows.items()}


def rounds_to(gflops: float, printed: float) -> bool:
    """Return whether a count equals the printed figure, rounded to two decimals."""
    return f"{gflops:.2f}" == f"{printed:.2f}"


def _disagreement(
    key: str, printed: float, counts: dict[str, float], figures: dict[str, dict[str, str]]
) -> str:
    """Explain a disagreement: whether a later row has the printed figure."""
    if key == "swin":
        return f"The Swin paper prints this rounded value; the count is {counts[key]:.2f}."
    later = list(counts)[list(counts).index(key) + 1 :]
    for other in later:
        if rounds_to(counts[other], printed):
            return (
                f"This network has {counts[key]:.2f} GFLOPs. {printed:.2f} is the cost of the "
                f"next row, {figures[other]['label']}: the last rows appear to be shifted by one."
            )
    return f"This network has {counts[key]:.2f} GFLOPs; no later row has the printed cost."
