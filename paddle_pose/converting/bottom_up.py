"""COCO-form files → pictures, masks and people in tar shards, for networks that find everybody."""

from __future__ import annotations

import hashlib
import io
import tarfile
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from tqdm import tqdm

from paddle_pose import names
from paddle_pose.data.coco_category import FROM_FILE
from paddle_pose.data.image_sizes import wrong_size
from paddle_pose.data.images import stored_size
from paddle_pose.data.layouts import annotation_file
from paddle_pose.data.record_shards import FORMAT, is_index, read, read_index
from paddle_pose.data.whole_people import WholePeople, from_annotations
from paddle_pose.errors import CannotWrite, UserError
from paddle_pose.files import atomic, json_text, sha256, write_json
from paddle_pose.settings import DataSettings
from paddle_pose.understood import Fact, Understood, counted

YEARS = {"train": "train2017", "val": "val2017"}
"""Short names of COCO's splits, where no file of the short name is there."""

PICTURES = 1000
"""In a shard: 160 MB of COCO's."""


@dataclass(frozen=True)
class Plan:
    """What is to be made.

    Attributes:
        dataset_root: folder of the data set.
        split: ``train``, ``val``, or as the file is called.
        output: folder of the shards.
        rule: of main persons, see ``whole_people.RULES``.
        masks: write them.
        annotations: COCO file instead of the layout's.
        skeleton: ``coco17`` or ``from_file``.
        pictures: in a shard.
    """

    dataset_root: Path
    split: str
    output: Path
    rule: str = "reference"
    masks: bool = False
    annotations: Path | None = None
    skeleton: str = "coco17"
    pictures: int = PICTURES


def convert(plan: Plan) -> Path:
    """Write the shards that are not there yet, then the whole index; what was done is said.

    Returns:
        The index.

    Raises:
        UserError: files that cannot be used or written, or shards of another plan.
    """
    if not 1 <= plan.pictures <= 100_000:
        raise UserError(f"--pictures {plan.pictures}: must be from 1 to 100,000")
    split = names.require_plain(plan.split, "--split")
    if plan.annotations is None and not annotation_file(plan.dataset_root, split).is_file():
        split = YEARS.get(split, split)
    stated = DataSettings(dataset="coco", skeleton=plan.skeleton)
    people = from_annotations(
        plan.dataset_root,
        split,
        plan.skeleton,
        annotations=plan.annotations,
        stated=stated,
        rule=plan.rule,
    )
    index = plan.output / f"{split}.json"
    names.require_not_read([index], people.files)
    people.understood.tell()
    content = _head(plan, people)
    done = _done(index, content)
    images = np.unique(people.image_index[people.main])
    parts = [images[at : at + plan.pictures] for at in range(0, len(images), plan.pictures)]
    for number, part in enumerate(tqdm(parts, "packing", disable=None, unit="shard")):
        file = plan.output / f"{split}-{number:06d}.tar"
        kept = done[number] if number < len(done) else None
        if kept is None or not _is(file, kept):
            kept = _write_shard(file, people, part, masks=plan.masks)
        else:
            print(f"=> {file}: is there and sound, kept", flush=True)
        content["shards"].append(kept)
        if number < len(parts) - 1 and len(content["shards"]) > len(done):
            write_json(index, content)
    content["complete"] = True
    write_json(index, content)
    _tell(people, content, read(index, stated), parts)
    print(f"=> {index}", flush=True)
    return index


def _head(plan: Plan, people: WholePeople) -> dict[str, Any]:
    """The index without its shards."""
    skeleton = people.skeleton
    category: dict[str, Any] = {"id": 1, "name": "person", "keypoints": list(skeleton.joints)}
    category["skeleton"] = [list(limb) for limb in skeleton.limbs]
    if plan.skeleton == FROM_FILE:
        pairs = [[skeleton.joints[i] for i in pair] for pair in skeleton.flip_pairs]
        category |= {"flip_pairs": pairs, "sigmas": list(skeleton.oks_sigmas)}
    file = people.files[0]
    return {
        "format": FORMAT,
        "complete": False,
        "made_from": {"file": file.name, "sha256": sha256(file), "pictures": plan.pictures},
        "rule": plan.rule,
        "masks": plan.masks,
        "categories": [category],
        "shards": [],
    }


_OF_PLAN: dict[str, Any] = {
    "made_from": "of another file, or with another --pictures ({!r:.160})",
    "rule": "by another rule ({!r})",
    "masks": {True: "with masks", False: "without masks"},
    "categories": "of other joints or limbs",
}
"""What an index was made with, in words."""


def _done(index: Path, content: dict[str, Any]) -> list[dict[str, Any]]:
    """Shards of an earlier run of the same plan; Raises UserError for those of another one."""
    if not index.exists():
        return []
    if not is_index(index):
        raise UserError(
            f"{index}: is there already and no index of shards; choose another --output"
        )
    before = read_index(index)
    for key, told in _OF_PLAN.items():
        if before.get(key) != content[key]:
            was = told if isinstance(told, str) else told[before[key]]
            raise UserError(
                f"{index}: was made {was.format(before[key])}; choose another --output, or remove "
                "it"
            )
    return before["shards"]


def _is(file: Path, shard: dict[str, Any]) -> bool:
    """Whether a shard is there as it was written."""
    return (
        file.name == shard["file"]
        and file.is_file()
        and file.stat().st_size == shard["bytes"]
        and sha256(file) == shard["sha256"]
    )


def _write_shard(
    file: Path, people: WholePeople, images: Sequence[int] | np.ndarray, *, masks: bool
) -> dict[str, Any]:
    """One shard, whole or not at all: its line in the index; Raises UserError."""
    records, digest = 0, hashlib.sha256()
    with atomic(file) as stream, tarfile.open(fileobj=stream, mode="w") as archive:
        for image in map(int, images):
            key, who = f"{image:08d}", people.on(image)
            photo, where = people.source.photo(image)
            _require_as_annotated(photo, where, people, image)
            crc = {"photo": zlib.crc32(photo)}
            _add(archive, key + Path(people.image_names[image]).suffix.lower(), photo)
            if masks and (mask := people.source.mask(image)) is not None:
                packed = cv2.imencode(".png", mask)[1].tobytes()
                crc["mask"] = zlib.crc32(packed)
                _add(archive, f"{key}.mask.png", packed)
            main = np.flatnonzero(np.isin(who, people.main))
            record = {
                "image_id": int(people.image_ids[image]),
                "file_name": people.image_names[image],
                "size_wh": people.sizes_wh[image].tolist(),
                "crc32": crc,
                "main": main.tolist(),
                "people": [
                    {
                        "row": int(people.rows[one]),
                        "labelled": int(people.labelled[one]),
                        "bbox": people.boxes_xywh[one].tolist(),
                        "keypoints": people.keypoints[one].ravel().tolist(),
                    }
                    for one in who
                ],
            }
            text = json_text(record).encode()
            digest.update(text)
            _add(archive, f"{key}.json", text)
            records += len(main)
    return {
        "file": file.name,
        "bytes": file.stat().st_size,
        "sha256": sha256(file),
        "records_sha256": digest.hexdigest(),
        "pictures": len(images),
        "records": records,
    }


def _require_as_annotated(photo: bytes, where: str, people: WholePeople, image: int) -> None:
    """By what it begins with; Raises UserError. Training would stop there, hours later."""
    if where.lower().endswith(".json"):
        raise UserError(f"{where}: a picture's file may not end in .json, as records do")
    stored, wanted = stored_size(photo, where), tuple(people.sizes_wh[image].tolist())
    if wanted not in (stored, stored[::-1]):
        raise wrong_size(where, stored, wanted)


def _add(archive: tarfile.TarFile, name: str, data: bytes) -> None:
    """A member without owner or time, so that a shard is the same whenever it is made."""
    info = tarfile.TarInfo(name)
    info.size = len(data)
    try:
        archive.addfile(info, io.BytesIO(data))
    except ValueError as error:  # a size that tar cannot say
        raise CannotWrite(f"{name}: cannot be packed ({error})") from error


def _tell(
    people: WholePeople, content: dict[str, Any], again: WholePeople, parts: list[np.ndarray]
) -> None:
    """Sizes and counts, once the whole was read again; Raises UserError where it differs."""
    if len(again) != len(people) or (again.rows[again.main] != people.rows[people.main]).any():
        raise UserError("the shards hold other people than the file; were they written to twice?")
    pictures, size = sum(map(len, parts)), sum(shard["bytes"] for shard in content["shards"])
    text = f"{counted(len(people), 'sample')} on {counted(pictures, 'picture')}, "
    text += f"{counted(len(parts), 'shard')} of {size:,} bytes in all, "
    text += f"{'with' if content['masks'] else 'without'} masks"
    counts = {"samples": len(people), "pictures": pictures, "bytes": size}
    Understood((Fact("packed", counts, text, "counted"),)).tell()
