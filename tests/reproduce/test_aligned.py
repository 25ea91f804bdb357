"""What equals official code: AlphaPose's rows, those of code never run here, those not stated."""

from __future__ import annotations

from reproduce import aligned, published, verdicts
from reproduce.verdicts import verdict

ROWS = published.load()


def test_alphaposes_logs_stand_by_their_weights_and_networks():
    """Of true boxes; its tables are with a detector whose AP is not stated, DUC-152 is two."""
    rows = {row.id: verdict(row) for row in ROWS if row.id.startswith("alphapose")}
    for name in ("simple_r50", "r50", "r50_duc", "r50_dcn"):
        one = rows[f"alphapose_log:{name}_coco_256x192"]
        assert one.word == "ported and aligned", (name, one.lacking)
        assert "alignment/fastpose.json" in one.records
        assert one.records[0].startswith("alignment/live_")
    two = rows["alphapose_log:r152_duc_coco_256x192"]
    assert two.word == "not run"
    assert "not known to be one model" in two.lacking
    zoo = {(one.word, one.lacking[:10]) for name, one in rows.items() if "zoo:r" in name}
    assert zoo == {("aligned", "no boxes: ")}


def test_a_publisher_whose_code_was_never_run_aligns_nothing():
    for publisher in aligned.NEVER_RUN:
        found = [verdict(row) for row in ROWS if row.id.startswith(f"{publisher}:")]
        assert {one.word for one in found} == {"not run"}
        assert all("was never run here" in one.lacking for one in found)


def test_nothing_settles_a_row_whose_protocol_is_not_stated():
    for row in ROWS:
        if published.NOT_STATED in row.protocol.detector_ap:
            assert verdicts.missing_of(row).startswith(verdicts.MISSING), row.id
            assert not verdicts.settles(row)
            assert verdicts.train_command(row) == verdicts.port_command(row) == ""
