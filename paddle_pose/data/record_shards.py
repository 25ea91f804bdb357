"""Pictures, masks and people that ``convert bottom_up`` packed into WebDataset's tar files.

``SPLIT.json`` lists the shards; ``SPLIT-000000.tar`` holds three files a picture: ``KEY.jpg`` as it
was, ``KEY.mask.png`` and ``KEY.json``, an object with ``image_id``, ``file_name``, ``size_wh``,
``people`` (everybody: ``row``, ``bbox``, ``keypoints``, ``labelled``), ``main`` (places of its main
persons there) and ``crc32`` of the picture and the mask.
"""

from __future__ import annotations

import hashlib
import tarfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from paddle_pose.data.archives import BROKEN, Member, TarHeader
from paddle_pose.data.coco_category import read_category
from paddle_pose.data.whole_people import (
    FILE_SKELETONS,
    LEAST_BOX_PX,
    WholePeople,
    from_annotations,
)
from paddle_pose.errors import UserError
from paddle_pose.files import parse_json, read_json
from paddle_pose.limits import LIMITS
from paddle_pose.names import require_inside
from paddle_pose.plain import finite, integer
from paddle_pose.settings import DataSettings
from paddle_pose.understood import ASSUMED, Fact, Understood, counted

FORMAT = "bottom-up shards 1"
"""In the first words of an index."""

FOLDER = "bottom_up"
"""Where a data set's shards are looked for."""


def people(
    root: Path, split: str, stated: DataSettings, *, annotations: Path | None = None
) -> WholePeople:
    """A split's people: of shards where there are any, else of its annotation file.

    Args:
        root: folder of the data set, or of the shards.
        split: names the index, or the annotation file.
        stated: of the recipe.
        annotations: COCO file, or index of shards, instead.

    Raises:
        UserError: files that cannot be used.
    """
    likely = [root / FOLDER / f"{split}.json", root / f"{split}.json"]
    for index in [annotations] if annotations is not None else likely:
        if is_index(index):
            return read(index, stated)
    return from_annotations(root, split, stated.skeleton, annotations=annotations, stated=stated)


def is_index(file: Path) -> bool:
    """Whether a file begins as an index of shards; not where there is none."""
    try:
        with file.open("rb") as stream:
            return FORMAT.encode() in stream.read(200)
    except OSError:
        return False


def read(index: Path, stated: DataSettings) -> WholePeople:
    """All samples of an index; pictures and masks are checked when they are read.

    Raises:
        UserError: shards that are missing, unfinished or damaged, or other joints than stated.
    """
    content = read_index(index)
    if not content["complete"]:
        raise UserError(f"{index}: is not finished; run its 'convert bottom_up' again to go on")
    name = FILE_SKELETONS.get(stated.skeleton, stated.skeleton)
    pictures = [one for shard in content["shards"] for one in _pictures(index.parent, shard)]
    joints = next((len(p["keypoints"]) // 3 for one in pictures for p in one.facts["people"]), None)
    category = read_category(content, index, name, stated=stated, joints=joints)
    count = len(category.skeleton)
    listed = [(place, p) for place, one in enumerate(pictures) for p in one.facts["people"]]
    first = np.cumsum([0] + [len(one.facts["people"]) for one in pictures])
    main = [begin + place for begin, one in zip(first[:-1], pictures, strict=True)
            for place in one.facts["main"]]  # fmt: skip
    masks = "with masks" if content["masks"] else "without masks"
    text = f"{len(main):,} on {counted(len(pictures), 'picture')} of {index}, {masks}, "
    facts = [Fact("records", len(main), f"{text}by the {content['rule']} rule")]
    if not content["masks"]:
        text = "crowds and unlabelled people count as background, as the shards have no masks"
        facts.append(Fact("masks", "none", text, ASSUMED))
    for _, person in listed:
        if len(person["keypoints"]) != 3 * count:
            raise UserError(f"{index}: annotation {person['row']} has no {count} joints")
    return WholePeople(
        skeleton=category.skeleton,
        image_names=tuple(one.facts["file_name"] for one in pictures),
        image_ids=np.array([one.facts["image_id"] for one in pictures], np.int64),
        sizes_wh=np.array([one.facts["size_wh"] for one in pictures], np.int64),
        image_index=np.array([place for place, _ in listed], np.int64),
        rows=np.array([person["row"] for _, person in listed], np.int64),
        boxes_xywh=np.array([person["bbox"] for _, person in listed], np.float64),
        keypoints=np.array([p["keypoints"] for _, p in listed], float).reshape(-1, count, 3),
        labelled=np.array([person["labelled"] for _, person in listed], np.int64),
        main=np.array(main, np.int64),
        source=Packed(tuple(pictures)),
        understood=category.understood + Understood(tuple(facts)),
        files=(index,),
    )


def read_index(index: Path) -> dict[str, Any]:
    """An index, checked; Raises UserError."""
    content = read_json(index)
    keys = {"format": str, "complete": bool, "masks": bool, "rule": str, "categories": list,
            "made_from": dict, "shards": list}  # fmt: skip
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise UserError(f"{index}: no index of {FORMAT}")
    for key, kind in keys.items():
        if not isinstance(content.get(key), kind):
            raise UserError(f"{index}: '{key}' is {content.get(key)!r:.60}")
    for number, shard in enumerate(content["shards"]):
        kinds = {"file": str, "bytes": int, "sha256": str, "records_sha256": str}
        if not isinstance(shard, dict) or any(
            type(shard.get(k)) is not t for k, t in kinds.items()
        ):
            raise UserError(f"{index}: shards[{number}]: needs {', '.join(kinds)}")
        require_inside(shard["file"], f"{index}: shards[{number}]")
    if content["complete"] and not content["shards"]:
        raise UserError(f"{index}: lists no shards")
    return content


@dataclass(frozen=True)
class Packed:
    """Pictures and masks of shards."""

    pictures: tuple[Picture, ...]

    def photo(self, image: int) -> tuple[bytes, str]:
        """As ``Source``."""
        one = self.pictures[image]
        return one.read(one.photo, "photo")

    def mask(self, image: int) -> np.ndarray | None:
        """As ``Source``."""
        one = self.pictures[image]
        if one.mask is None:
            return None
        data, where = one.read(one.mask, "mask")
        found = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_GRAYSCALE)
        width, height = one.facts["size_wh"]
        if found is None or found.shape != (height, width):
            raise UserError(f"{where}: no mask of {width}×{height} pixels")
        return found


@dataclass(frozen=True)
class Picture:
    """One picture of a shard: what is said of it, its file and its mask."""

    facts: dict[str, Any]
    photo: Member
    mask: Member | None

    def read(self, member: Member, kind: str) -> tuple[bytes, str]:
        """A file's bytes and where they lie; Raises UserError if they are not those packed."""
        where = f"{member.archive}: {member.name}"
        data = member.read()
        if zlib.crc32(data) != self.facts["crc32"].get(kind):
            raise UserError(f"{where} is damaged (wrong CRC); copy or make the shard again")
        return data, where


def _pictures(folder: Path, shard: dict[str, Any]) -> Iterator[Picture]:
    """Those of one shard, in order; Raises UserError."""
    file = folder / shard["file"]
    if not file.is_file() or file.stat().st_size != shard["bytes"]:
        raise UserError(f"{file}: is missing or cut short; copy it again, or make it again")
    digest, files, told = hashlib.sha256(), dict[str, Member](), dict[str, bytes]()
    try:
        with tarfile.open(file, "r:", tarinfo=TarHeader) as archive:
            while (info := archive.next()) is not None:
                LIMITS["archive_members"].require(len(files), str(file))
                member = Member(
                    file, info.name, info.offset_data, info.size, info.size, None, False
                )
                files[info.name] = member
                if info.name.endswith(".json"):
                    told[info.name.removesuffix(".json")] = member.read()
                    digest.update(told[info.name.removesuffix(".json")])
    except (*BROKEN, tarfile.TarError) as error:
        raise UserError(f"{file}: not a tar file that can be read ({error})") from error
    if digest.hexdigest() != shard["records_sha256"] or not told:
        raise UserError(f"{file}: its records are not those that were written; make it again")
    for key, data in told.items():
        where = f"{file}: {key}.json"
        facts = _facts(parse_json(data, where), where)
        name = key + Path(facts["file_name"]).suffix.lower()
        mask = f"{key}.mask.png"
        for kind, file_name in (("photo", name), ("mask", mask)):
            if (kind in facts["crc32"]) != (file_name in files):
                raise UserError(
                    f"{where}: its {kind} is not in the shard as it says; make it again"
                )
        yield Picture(facts, files[name], files.get(mask))


def _facts(content: Any, where: str) -> dict[str, Any]:
    """A record, checked; Raises UserError."""
    try:
        facts: dict[str, Any] = {
            "image_id": integer(content["image_id"], f"{where}: image_id"),
            "file_name": require_inside(content["file_name"], f"{where}: file_name"),
            "size_wh": [integer(side, f"{where}: size_wh") for side in content["size_wh"]],
            "crc32": dict(content["crc32"]),
            "main": [integer(place, f"{where}: main") for place in content["main"]],
            "people": [
                {
                    "row": integer(person["row"], f"{where}: row"),
                    "labelled": integer(person["labelled"], f"{where}: labelled"),
                    "bbox": finite(person["bbox"], f"{where}: bbox"),
                    "keypoints": finite(person["keypoints"], f"{where}: keypoints"),
                }
                for person in content["people"]
            ],
        }
    except (KeyError, TypeError, ValueError) as error:
        raise UserError(f"{where}: not a picture's record ({error!r:.80})") from error
    good = len(facts["size_wh"]) == 2 and min(facts["size_wh"]) > 0
    good = good and all(len(person["bbox"]) == 4 for person in facts["people"])
    if not good or not all(0 <= place < len(facts["people"]) for place in facts["main"]):
        raise UserError(f"{where}: a size, a box or a place of a main person that cannot be")
    for place in facts["main"]:
        person = facts["people"][place]
        if min(person["bbox"][2:]) < LEAST_BOX_PX:
            raise UserError(
                f"{where}: annotation {person['row']} is a main person, but its box "
                f"{person['bbox']} has a side of less than a pixel; make the shards again"
            )
    return facts
