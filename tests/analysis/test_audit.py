import pytest

from roadmap.analysis.audit import SWIN, audit
from roadmap.tables.results import paper_figures


def test_audit_of_table_10_finds_the_two_rows():
    rows = {row.key: row for row in audit("resnet50")}
    assert len(rows) == 18
    steps = [key for key, row in rows.items() if not row.agrees and key != "swin"]
    assert steps == ["layer_norm", "separate_downsampling"]
    assert "has 4.15 GFLOPs. 4.46 is the cost of the next row" in rows["layer_norm"].note
    assert "has 4.46 GFLOPs. 4.49 is the cost of the next row" in rows["separate_downsampling"].note


def test_audit_of_table_11_agrees_throughout():
    rows = audit("resnet200")
    assert len(rows) == 18
    assert all(row.agrees and not row.note for row in rows)


@pytest.mark.parametrize(
    ("roadmap", "label", "macs"),
    [("resnet50", "Swin-T", 4_490_566_656), ("resnet200", "Swin-B", 15_430_946_816)],
)
def test_the_transformer_stands_beside_the_roadmap(roadmap, label, macs):
    swin = next(row for row in audit(roadmap) if row.key == "swin")
    assert swin.gflops == macs / 1e9
    assert swin.label == SWIN[roadmap].label == label


def test_a_figure_that_is_no_networks_is_said_to_be(monkeypatch):
    figures = paper_figures("resnet50")
    printed = {"baseline": "9.99", "swin": "9.99", "stage_ratio": "4.09"}
    changed = {key: figures[key] | {"gflops": gflops} for key, gflops in printed.items()}
    monkeypatch.setattr("roadmap.analysis.audit.paper_figures", lambda _: figures | changed)
    rows = {row.key: row for row in audit("resnet50")}
    for key, counted in (("baseline", "4.09"), ("swin", "4.49"), ("stage_ratio", "4.53")):
        assert not rows[key].agrees
        assert counted in rows[key].note
        assert "next row" not in rows[key].note
