"""What results/measured/README.md says of CPUs follows from cpu.csv."""

import pytest

from roadmap.tables.results import RESULTS, read_rows

TEXT = " ".join((RESULTS / "measured/README.md").read_text(encoding="utf-8").split())
TEXT = TEXT[TEXT.index("## cpu.csv") :]

FLOAT32 = {"mode": "inference", "dtype": "float32"}
BF16 = {"mode": "inference", "dtype": "bf16"}


def ratios(network, channels_last=None, **chosen):
    """The ratios of networks whose name contains ``network``, for ``chosen`` values of columns."""
    chosen = {"seconds": "wall", "compiled": "False"} | chosen
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
        ("Float32 training: the peers take {} times", {"mode": "training", "dtype": "float32"}),
        ("inference with eight images: {} times", FLOAT32 | {"batch_size": "8"}),
        ("with two, {} times", FLOAT32 | {"batch_size": "2"}),
        ("with one, {} times", FLOAT32 | {"batch_size": "1"}),
        ("the peers take {} times as long. PyTorch", BF16 | {"batch_size": "1 2"}),
        ("With eight images they take {} times", BF16 | {"batch_size": "8"}),
        ("bf16 training takes them {} times", {"mode": "training", "dtype": "bf16"}),
    ],
)
def test_the_peers_take_as_long_as_is_said(said, chosen):
    found = ratios("convnext_tiny", **chosen)
    assert said.format(f"{min(found):.2f} to {max(found):.2f}") in TEXT


def test_contiguous_memory_is_clearly_faster_for_none_of_our_networks():
    ours = [*ratios("separate_downsampling", False), *ratios("pocket:", False, seconds="cpu")]
    assert min(ours) > 0.9
    names = ("training", "kernel_7", "gelu")
    normed = [one for name in names for one in pocket(name)]
    assert f"{min(normed):.1f} to {max(normed):.0f} times as long in contiguous memory" in TEXT


def pocket(step):
    """The ratios of a pocket network in contiguous memory, from batch 64 on."""
    return ratios(f"pocket:{step}", False, seconds="cpu", batch_size="64 256")
