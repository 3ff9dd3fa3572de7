"""What results/measured/README.md says of CPUs follows from cpu.csv."""

import pytest

from roadmap.tables.results import RESULTS, read_rows

TEXT = " ".join((RESULTS / "measured/README.md").read_text(encoding="utf-8").split())
TEXT = TEXT[TEXT.index("## cpu.csv") :]


def ratios(network, channels_last=None, **chosen):
    """The ratios of networks whose name contains ``network``, for ``chosen`` values of columns."""
    chosen = {"seconds": "cpu", "compiled": "False"} | chosen
    if channels_last is not None:
        chosen["channels_last"] = str(channels_last)
    return [
        float(row["ratio"])
        for row in read_rows("measured/cpu")
        if network in row["network"]
        and all(row[name] in value.split() for name, value in chosen.items())
    ]


@pytest.mark.parametrize(
    ("said", "chosen"),
    [
        (
            "batch 2 on: the peers take {} times",
            {"mode": "inference", "dtype": "float32", "batch_size": "2 8"},
        ),
        ("Batch 1: {} times", {"mode": "inference", "dtype": "float32", "batch_size": "1"}),
        (
            "Compiled, batch 1: {} times",
            {"mode": "inference", "compiled": "True", "batch_size": "1"},
        ),
        (
            "the peers take {} times as long. PyTorch",
            {"mode": "inference", "dtype": "bf16", "batch_size": "1 2"},
        ),
        ("two images takes the peers {} times", {"mode": "training", "batch_size": "2"}),
        (
            "with eight {} times in float32",
            {"mode": "training", "dtype": "float32", "batch_size": "8"},
        ),
        ("float32 and {} times in bf16", {"mode": "training", "dtype": "bf16", "batch_size": "8"}),
    ],
)
def test_the_peers_take_as_long_as_is_said(said, chosen):
    found = ratios("convnext_tiny", **chosen)
    assert said.format(f"{min(found):.2f} to {max(found):.2f}") in TEXT


def test_contiguous_memory_is_clearly_faster_for_none_of_our_networks():
    ours = [*ratios("separate_downsampling", False), *ratios("pocket:", False)]
    assert min(ours) > 0.9
    names = ("training", "kernel_7", "gelu")
    normed = [one for name in names for one in ratios(f"pocket:{name}", False, batch_size="64 256")]
    assert f"{min(normed):.1f} to {max(normed):.0f} times as long in contiguous memory" in TEXT
