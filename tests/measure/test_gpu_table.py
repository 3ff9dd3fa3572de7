"""What results/measured/README.md says of GPUs follows from gpu.csv."""

from __future__ import annotations

import pytest

from roadmap.tables.results import RESULTS, read_rows

TEXT = " ".join((RESULTS / "measured/README.md").read_text(encoding="utf-8").split())
TEXT = TEXT[TEXT.index("## gpu.csv") : TEXT.index("## depthwise_host.csv")]


def ratios(network: str, way: str, mode: str, *batch_sizes: int) -> list[float]:
    """The ratios of ``network`` with our kernels from 2^21 elements."""
    return [
        float(row["ratio"])
        for row in read_rows("measured/gpu")
        if (row["network"], row["way"], row["mode"]) == (network, way, mode)
        and int(row["batch_size"]) in batch_sizes
        and row["least_elements"] == str(1 << 21)
    ]


@pytest.mark.parametrize(
    ("said", "found"),
    [
        ("{:.2f} in compiled training", ("compiled", "training", 256)),
        ("{:.2f} in eager inference with 256", ("eager", "inference", 256)),
        ("one and eight images, too: {:.2f} and {:.2f}", ("graphs", "inference", 1, 8)),
        ("it takes {:.2f} with one image and {:.2f} with 64", ("compiled", "inference", 1, 64)),
    ],
)
def test_the_ratios_are_those_of_the_table(said, found):
    assert said.format(*ratios("timm", *found)) in TEXT


def test_the_range_is_that_of_the_table():
    found = ratios("timm", "eager", "inference", 1, 8, 32, 64)
    assert f"takes {min(found):.2f} to {max(found):.2f} times as long in inference" in TEXT
