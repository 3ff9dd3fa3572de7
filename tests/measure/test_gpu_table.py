"""What results/measured/README.md says of GPUs follows from gpu.csv."""

from __future__ import annotations

import pytest

from roadmap.tables.results import RESULTS, read_rows

TEXT = " ".join((RESULTS / "measured/README.md").read_text(encoding="utf-8").split())
TEXT = TEXT[TEXT.index("## gpu.csv") : TEXT.index("## depthwise_host.csv")]


TRAINED = ("eager", "training", 128, 256)


def ratios(network: str, way: str, mode: str, *batch_sizes: int) -> list[float]:
    """The ratios of ``network``, in the order of ``batch_sizes``."""
    found = {
        int(row["batch_size"]): float(row["ratio"])
        for row in read_rows("measured/gpu")
        if (row["network"], row["way"], row["mode"]) == (network, way, mode)
    }
    return [found[size] for size in batch_sizes]


@pytest.mark.parametrize(
    ("said", "found"),
    [
        (
            "{:.2f} times as long with 128 images and {:.2f} with 256",
            ("eager", "training", 128, 256),
        ),
        ("in inference {:.2f} with 64 (eager)", ("eager", "inference", 64)),
        ("and {:.2f} with 256 (compiled)", ("compiled", "inference", 256)),
        ("one and eight images, too: {:.2f} and {:.2f}", ("graphs", "inference", 1, 8)),
        ("Compiled training with 256 images takes {:.2f}.", ("compiled", "training", 256)),
        ("in eager training {:.2f} with 8 and {:.2f} with 32", ("eager", "training", 8, 32)),
        ("compiled {:.2f} with one image", ("compiled", "inference", 1)),
        ("and {:.2f} with 32 (training;", ("compiled", "training", 32)),
    ],
)
def test_the_ratios_are_those_of_the_table(said, found):
    assert said.format(*ratios("timm", *found)) in TEXT


def test_the_range_is_that_of_the_table():
    found = ratios("timm", "eager", "inference", 1, 8, 32)
    said = f"takes {min(found):.2f} to {max(found):.2f} times as long with up to 32 images"
    assert said in TEXT
