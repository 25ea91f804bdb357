"""OCHuman's own ochuman.json → its official COCO-form files, ``val`` and ``test``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tqdm import tqdm

from paddle_pose.converting.converted import Converted, LeftOut, assumed
from paddle_pose.data.layouts import LAYOUTS, annotation_file
from paddle_pose.errors import UserError
from paddle_pose.files import read_json
from paddle_pose.names import require_inside
from paddle_pose.plain import finite, integer, one_finite
from paddle_pose.skeletons import COCO17
from paddle_pose.understood import Fact, Understood, counted

_VISIBLE = {0: 0, 1: 2, 2: 2, 3: 1}
"""OCHuman's missing, seen, hidden by oneself, hidden by others → COCO's."""

_LIMBS = [[COCO17.index(a) + 1, COCO17.index(b) + 1] for a, b in COCO17.limbs]


def convert(file: Path, output: Path) -> Converted:
    """People with joints and a mask, by sorted image id: the first 2,500 images are ``val``.

    As the official converter has it, but for the masks, which are not written.

    Source: liruilong940607/OCHumanApi ochumanApi/ochuman.py:102 @958aa20

    Raises:
        UserError: another kind of file, a broken record, or nobody with joints and a mask.
    """
    content = read_json(file)
    joints = content.get("keypoint_names") if isinstance(content, dict) else None
    images = content.get("images") if isinstance(content, dict) else None
    if not isinstance(joints, list) or not isinstance(images, list):
        raise UserError(
            f"{file}: expected OCHuman's own file, an object with 'keypoint_names' and 'images'"
        )
    lacking = [name for name in COCO17.joints if name not in joints]
    if lacking:
        raise UserError(f"{file}: keypoint_names lacks {', '.join(lacking)}")
    places = [joints.index(name) for name in COCO17.joints]
    left, found, seen = LeftOut(), [], set[str]()
    for row, image in enumerate(tqdm(images, "converting", disable=None, unit="image")):
        where = f"{file.name}: images[{row}]"
        head, people = _image(image, where), []
        if str(image["image_id"]) in seen:
            raise UserError(f"{where}: image_id {image['image_id']!r:.60} is there twice")
        seen.add(str(image["image_id"]))
        for number, record in enumerate(image["annotations"]):
            place = f"{where}: annotations[{number}]"
            if person := _person(record, place, len(joints), places, left):
                people.append(person)
        annotated = any(record["keypoints"] and record["segms"] for record in image["annotations"])
        if annotated:
            found.append((str(image["image_id"]), head, people))
    if not any(people for _, _, people in found):
        raise UserError(f"{file}: nobody with joints and a mask; left out {left.fact().text}")
    found.sort(key=lambda one: one[0])
    official = LAYOUTS["ochuman"].images
    parts = {"val": found[: official["val"]], "test": found[official["val"] :]}
    files = {split: _content(part) for split, part in parts.items() if part}
    counts = {split: len(made["images"]) for split, made in files.items()}
    facts = [
        Fact("images", counts, f"{counts} of {counted(len(images), 'image')}", "counted"),
        Fact("people", sum(len(made["annotations"]) for made in files.values()),
             ", ".join(f"{split} {len(m['annotations']):,}" for split, m in files.items()),
             "counted"),
        left.fact(),
        Fact("masks", "none", "left out: poses are not scored by them", "counted"),
    ]  # fmt: skip
    if counts != official:
        text = f"the official file gives {dict(official)} images; this is another one or a part"
        facts.append(assumed("split", counts, text))
    written = {annotation_file(output, split, "ochuman"): made for split, made in files.items()}
    return Converted(written, (file,), Understood(tuple(facts)))


def _image(image: Any, where: str) -> dict[str, Any]:
    if not isinstance(image, dict) or not isinstance(image.get("annotations"), list):
        raise UserError(f"{where}: expected an object with a list 'annotations'")
    for key in ("image_id", "file_name"):
        if not isinstance(image.get(key), str | int) or isinstance(image[key], bool):
            raise UserError(f"{where}: has no '{key}'")
    name = require_inside(str(image["file_name"]), f"{where}: file_name")
    size = {key: integer(image.get(key), f"{where}: {key}") for key in ("height", "width")}
    if min(size.values()) < 1:
        raise UserError(f"{where}: a size of {size['width']}×{size['height']} pixels")
    for number, record in enumerate(image["annotations"]):
        for key in ("bbox", "keypoints", "segms", "max_iou"):
            if not isinstance(record, dict) or key not in record:
                raise UserError(f"{where}: annotations[{number}]: has no '{key}'")
    return {"file_name": name, **size}


def _person(
    record: dict[str, Any], where: str, joints: int, places: list[int], left: LeftOut
) -> dict[str, Any] | None:
    """An annotation without its ids; None for one that the official files do not have."""
    if not record["keypoints"] or not record["segms"]:
        left.add("people without joints or mask", where)
        return None
    if one_finite(record["max_iou"], f"{where}: max_iou") >= 1:
        left.add("people with the very box of another", where)
        return None
    box = finite(record["bbox"], f"{where}: bbox")
    given = finite(record["keypoints"], f"{where}: keypoints")
    if len(box) != 4 or box[2] < box[0] or box[3] < box[1]:
        raise UserError(f"{where}: expected bbox [left, top, right, bottom], got {box}")
    if len(given) != 3 * joints:
        raise UserError(f"{where}: expected {3 * joints} numbers of keypoints, got {len(given)}")
    flat: list[float] = []
    for place in places:
        x, y, visible = given[3 * place : 3 * place + 3]
        if visible not in _VISIBLE:
            raise UserError(f"{where}: visibility {visible:g}, expected 0, 1, 2 or 3")
        flat += [x, y, _VISIBLE[int(visible)]]
    width, height = box[2] - box[0], box[3] - box[1]
    return {
        "area": width * height,
        "num_keypoints": sum(value > 0 for value in flat[2::3]),
        "iscrowd": 0,
        "category_id": 1,
        "keypoints": flat,
        "bbox": [box[0], box[1], width, height],
    }


def _content(part: list[tuple[str, dict[str, Any], list[dict[str, Any]]]]) -> dict[str, Any]:
    """A COCO file; ids count from 1 in each."""
    some = [(head, people) for _, head, people in part if people]
    images = [{"id": number, **head} for number, (head, _) in enumerate(some, 1)]
    everybody = [(number, one) for number, (_, people) in enumerate(some, 1) for one in people]
    category = {"id": 1, "name": "person", "supercategory": "person", "skeleton": _LIMBS}
    return {
        "images": images,
        "annotations": [
            {"id": own, "image_id": image_id, **person}
            for own, (image_id, person) in enumerate(everybody, 1)
        ],
        "categories": [{**category, "keypoints": list(COCO17.joints)}],
    }
