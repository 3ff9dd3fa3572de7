from roadmap.analysis.audit import audit


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
