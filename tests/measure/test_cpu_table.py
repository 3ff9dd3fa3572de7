"""What results/measured/README.md says of CPUs follows from cpu.csv."""

from __future__ import annotations

from ratios import ratios_in

from roadmap.tables.results import RESULTS, read_rows

TEXT = (RESULTS / "measured/README.md").read_text(encoding="utf-8")
TEXT = TEXT[TEXT.index("## cpu.csv") : TEXT.index("## gpu.csv")]


def ratios(network, channels_last=None, **chosen):
    """The ratios of networks whose name contains ``network``, for ``chosen`` values of columns."""
    chosen = {"seconds": "wall"} | chosen
    if channels_last is not None:
        chosen["channels_last"] = str(channels_last)
    return [
        float(row["ratio"])
        for row in read_rows("measured/cpu")
        if network in row["network"]
        and all(row[name] in value.split() for name, value in chosen.items())
    ]


def test_the_table_has_the_least_and_the_most_of_the_peers():
    found = {}
    for row in read_rows("measured/cpu"):
        if "convnext_tiny" in row["network"]:
            way = "compiled" if row["compiled"] == "True" else "eager"
            place = (f"{way}, {row['mode']}, {row['dtype']}", row["batch_size"])
            found.setdefault(place, []).append(float(row["ratio"]))
    assert ratios_in(TEXT) == {
        place: f"{min(each):.2f} to {max(each):.2f}" for place, each in found.items()
    }


def test_no_peer_is_clearly_faster():
    peers = ratios("convnext_tiny")
    assert "by more than 2%" in TEXT
    assert min(peers) > 0.98


def test_contiguous_memory_is_clearly_faster_for_none_of_our_networks():
    ours = [*ratios("separate_downsampling", False), *ratios("pocket:", False, seconds="cpu")]
    assert min(ours) > 0.9
    names = ("training", "kernel_7", "gelu")
    normed = [one for name in names for one in pocket(name)]
    assert f"{min(normed):.1f} to {max(normed):.0f} times as long in contiguous memory" in " ".join(
        TEXT.split()
    )


def pocket(step):
    """The ratios of a pocket network in contiguous memory, from batch 64 on."""
    return ratios(f"pocket:{step}", False, seconds="cpu", batch_size="64 256")
