"""The gallery: rendered people in the committed page, photos of one's own in another page."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from paddle_pose.files import read_json
from reproduce.reporting.content import Picture, Section, Strip, Strips, Text, absent
from reproduce.reporting.records import ROOT

FOLDER = "reproduce/gallery"


def section(folder: str = FOLDER) -> Section:
    """Best, median and worst people of a ``gallery.json``, whose pictures lie beside it."""
    title = "Gallery: best, median and worst"
    file = ROOT / folder / "gallery.json"
    if not file.is_file():
        return Section("gallery", title, [absent("the gallery of rendered people")])
    record = read_json(file)
    where = f"[record]({folder}/gallery.json)" if folder == FOLDER else "photos of your own"
    words = (
        f"All {record['people_in_all']:,} validation people of `{record['recipe']}` "
        f"(benchmark `{record['benchmark']}`), ordered by mean error over labelled joints; "
        f"{where}. Orange is the person's left, blue the right. Heat maps stand on the greyed "
        "crop, from dark (nothing) to bright (the network is sure)."
    )
    if folder == FOLDER:
        words += " The people are rendered by this project: photos of others are not shown here."
    return Section("gallery", title, [Text(words), Strips(_strips(folder, record))])


def _strips(folder: str, record: dict[str, Any]) -> list[Strip]:
    strips = []
    for one in record["people"]:
        joint = one["worst_joint"].replace("_", " ")
        labels = ["truth", "prediction", "all heat maps", f"heat map of the {joint}"]
        alts = [f"{one['rank']} person, {label}" for label in labels]
        files = [(Path(folder) / name).as_posix() for name in one["files"]]
        pictures = [Picture(*three) for three in zip(files, alts, labels, strict=True)]
        caption = (
            f"**{one['rank'].capitalize()}**, place {one['place']} of {record['people_in_all']}: "
            f"mean error {one['mean_error']:.2f} head sizes, {one['pckh']:.0f} % of the joints "
            f"within half a head; furthest off the {joint}, {one['worst_error']:.2f}."
        )
        strips.append(Strip(pictures, caption))
    return strips
