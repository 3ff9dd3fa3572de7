"""What results/measured/README.md says of GPUs is what gpu.csv has."""

from __future__ import annotations

from ratios import ratios_in

from roadmap.tables.results import RESULTS, read_rows

TEXT = (RESULTS / "measured/README.md").read_text(encoding="utf-8")
TEXT = TEXT[TEXT.index("## gpu.csv") : TEXT.index("## mlp.csv")]


def test_the_ratios_are_those_of_the_table():
    assert ratios_in(TEXT) == {
        (
            f"{row['way']}, {row['mode']}, {row['dtype']}",
            row["batch_size"],
        ): f"{float(row['ratio']):.2f}"
        for row in read_rows("measured/gpu")
        if row["network"] == "timm"
    }


def test_the_milliseconds_are_those_of_the_table():
    of = {
        row["network"]: float(row["ms"])
        for row in read_rows("measured/gpu")
        if (row["way"], row["mode"], row["dtype"], row["batch_size"])
        == ("compiled", "training", "bf16", "256")
    }
    expected = f"with 256 images takes {of['ours']:.1f} ms, timm's {of['timm']:.1f}"
    assert expected in " ".join(TEXT.split())
