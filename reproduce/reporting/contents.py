"""All sections of the report, in order."""

from __future__ import annotations

from collections.abc import Sequence

from reproduce.reporting import (
    evidence,
    logs,
    networks,
    notes,
    photos,
    rescored,
    summary,
    trained,
    twins,
)
from reproduce.reporting.content import Section

TITLE = "2-D human pose estimation in PaddlePaddle: does every published number hold?"
LEAD = (
    "Stacked Hourglass, HRNet and SimpleBaseline on MPII and COCO, number by number: what was "
    "published, what stands behind it here, and how one knows. Each measured number links to its "
    "record, each published one to its source."
)


def sections() -> Sequence[Section]:
    """The report."""
    return [
        summary.section(),
        rescored.section(),
        twins.section(),
        logs.section(),
        networks.alignment_section(),
        *networks.sections(),
        trained.section(),
        evidence.open_section(),
        photos.section(),
        notes.data_section(),
        notes.log_section(),
    ]
