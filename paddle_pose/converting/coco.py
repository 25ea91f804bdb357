"""A COCO annotation file → its person keypoints alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tqdm import tqdm

from paddle_pose.converting.converted import Converted, LeftOut
from paddle_pose.errors import UserError
from paddle_pose.files import read_json
from paddle_pose.plain import finite
from paddle_pose.understood import Fact, Understood, counted

_OTHER = "of other categories"


def convert(file: Path, output: Path, *, for_scoring: bool) -> Converted:
    """The person category, people with labelled joints and their images, each as it stands.

    Args:
        file: any COCO annotation file with keypoints.
        output: the file to write.
        for_scoring: also keep crowds, people without joints and images without people: AP forgives
            detections on the first two and counts those on the last.

    Raises:
        UserError: not a COCO file, no person category, nobody with joints, or a broken record.
    """
    content = read_json(file)
    if not isinstance(content, dict) or not all(
        isinstance(content.get(key), list) for key in ("images", "annotations", "categories")
    ):
        raise UserError(f"{file}: expected an object with lists images, annotations, categories")
    category = _person_category(content["categories"], file)
    left = LeftOut()
    kept = []
    for row, record in enumerate(
        tqdm(content["annotations"], "filtering", disable=None, unit="record")
    ):
        where = f"{file.name}: annotations[{row}]"
        reason = _reason(record, where, category["id"])
        if reason is None or (for_scoring and reason != _OTHER):
            _require_numbers(record, where)
            kept.append(record)
        else:
            left.add(reason, where)
    images = {record["image_id"] for record in kept}
    if not kept:
        raise UserError(f"{file}: no people with keypoints; left out {left.fact().text}")
    pictures = []
    for row, image in enumerate(content["images"]):
        if not isinstance(image, dict) or not isinstance(image.get("id"), int | str):
            raise UserError(f"{file.name}: images[{row}] has no id")
        if for_scoring or image["id"] in images:
            pictures.append(image)
        else:
            left.add("images without such people", f"{file.name}: images[{row}]")
    counts = {"images": len(pictures), "people": len(kept)}
    text = (
        f"{len(kept):,} of {len(content['annotations']):,} annotations on {len(pictures):,} of "
        f"{counted(len(content['images']), 'image')}"
    )
    if not for_scoring:
        text += "; to train on, not to score (that needs --for_scoring)"
    understood = Understood((Fact("people", counts, text, "counted"), left.fact()))
    result: dict[str, Any] = {
        **content,
        "images": pictures,
        "annotations": kept,
        "categories": [category],
    }
    return Converted({output: result}, (file,), understood)


def _reason(record: Any, where: str, category_id: Any) -> str | None:
    """Why a record is none to train on; None for one that is."""
    record = record if isinstance(record, dict) else {}
    if not all(isinstance(record.get(key), int | str) for key in ("category_id", "image_id")):
        raise UserError(f"{where}: needs category_id and image_id")
    joints = record.get("keypoints") or []
    if not isinstance(joints, list) or len(joints) % 3:
        raise UserError(f"{where}: keypoints are not triples of x, y, visibility")
    if record["category_id"] != category_id:
        return _OTHER
    if record.get("iscrowd"):
        return "crowds"
    return None if any(v != 0 for v in joints[2::3]) else "people without labelled joints"


def _require_numbers(record: dict[str, Any], where: str) -> None:
    """Raises UserError for a box or joints that no reader of the converted file would take."""
    finite(record.get("keypoints") or [], f"{where}: keypoints")
    if len(finite(record.get("bbox"), f"{where}: bbox")) != 4:
        raise UserError(f"{where}: expected bbox [x, y, width, height], got {record['bbox']}")


def _person_category(categories: list[Any], file: Path) -> dict[str, Any]:
    found = [c for c in categories if isinstance(c, dict) and "id" in c and c.get("keypoints")]
    people = [c for c in found if c.get("name") == "person"] or found
    if len(people) != 1:
        names = ", ".join(str(c.get("name")) for c in people) or "none"
        raise UserError(f"{file}: expected one category with keypoints called person, got {names}")
    return people[0]
