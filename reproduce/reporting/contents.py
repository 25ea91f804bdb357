"""All sections of the report, in order."""

from __future__ import annotations

from collections.abc import Sequence

from reproduce.reporting import (
    crowd,
    errors,
    evidence,
    light,
    networks,
    notes,
    photos,
    precisions,
    reliability,
    rescored,
    scenes,
    speed,
    summary,
    twins,
)
from reproduce.reporting.content import Section

TITLE = "2-D human pose estimation in PaddlePaddle: does every published number hold?"
LEAD = (
    "Stacked Hourglass, HRNet, SimpleBaseline, MIPNet, FastPose and BodyPoseNet, number by number: "
    "what was published, what stands behind it here, and how one knows. Each measured number "
    "links to its record, each published one to its source."
)


def sections(gallery: str = photos.FOLDER) -> Sequence[Section]:
    """The report, with the pictures of a gallery's folder."""
    return [
        summary.section(),
        notes.threshold_section(),
        rescored.section(),
        errors.section(),
        networks.alignment_section(),
        twins.section(),
        *precisions.sections(),
        *crowd.sections(),
        *light.sections(),
        *scenes.sections(),
        *networks.sections(),
        evidence.open_section(),
        speed.section(),
        reliability.section(),
        photos.section(gallery),
        notes.data_section(),
        notes.log_section(),
    ]
