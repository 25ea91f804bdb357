"""Look at a data set before training on it: ``python -m paddle_pose browse``."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import cv2
import numpy as np
from tqdm import tqdm

from paddle_pose import configs, drawing, names
from paddle_pose.command_line import CommandLine
from paddle_pose.commands.gallery import MOST_PEOPLE
from paddle_pose.data import coco, inspection, mpii
from paddle_pose.data.coco_category import FROM_FILE
from paddle_pose.data.image_files import read_bytes
from paddle_pose.data.images import stored_size
from paddle_pose.data.inspection import Suspicion
from paddle_pose.data.mpii_files import LAYOUTS
from paddle_pose.data.records import PersonTable
from paddle_pose.data.top_down import PersonCrops
from paddle_pose.errors import UserError
from paddle_pose.files import write_json
from paddle_pose.recipes.recipe import Recipe
from paddle_pose.skeletons import skeleton_named
from paddle_pose.understood import counted

COCO_RECIPE = "hrnet:w32_coco_256x192"
PANEL_PX = 224
"""Crops of a smaller recipe are drawn larger, by whole factors."""

AROUND = 1.3
"""The annotated picture shows so much more than the crop, whose edge is drawn."""

_COCO_FILE = "person_keypoints_"
_RED, _WHITE = (220, 30, 30), (255, 255, 255)


@dataclass(frozen=True)
class Pictures:
    """What the image files themselves say: size and digest by name, and those that are broken."""

    sizes_wh: dict[str, tuple[int, int]]
    digests: dict[str, str]
    broken: list[str]


def recipe_for(
    root: Path, config: str | None, annotations: Path | None, assignments: Sequence[str] = ()
) -> Recipe:
    """The named recipe, or one for the layout that the folder has; Raises UserError."""
    if config is not None:
        return configs.chosen(config, None, assignments)
    if annotations is None and any(layout.splits(root) for layout in LAYOUTS):
        return configs.chosen(None, None, assignments)
    return configs.chosen(COCO_RECIPE, None, [f"data.skeleton={FROM_FILE}", *assignments])


def split_of(recipe: Recipe, root: Path) -> str:
    """The recipe's training split, or what a COCO-like folder has in its place."""
    wanted = recipe.data.train_split
    files = sorted((root / "annotations").glob(f"{_COCO_FILE}*.json"))
    there = [file.stem.removeprefix(_COCO_FILE) for file in files]
    if recipe.data.dataset != "coco" or not there or wanted in there:
        return wanted
    found = "train" if "train" in there else there[0]
    print(f"=> split: {found}, of {', '.join(there)}; --split names another")
    return found


def people_of(recipe: Recipe, root: Path, split: str, annotations: Path | None) -> PersonTable:
    """All people of a split, images there or not; Raises UserError."""
    if recipe.data.dataset == "mpii":
        return mpii.load(root, split, with_truth=False)
    return coco.load(
        root,
        split,
        image_size_wh=recipe.data.image_size_wh,
        skeleton_name=recipe.data.skeleton,
        annotations=annotations,
        with_images=False,
    )


def read_pictures(table: PersonTable) -> Pictures:
    """Header and digest of every image that people are on."""
    pictures = Pictures({}, {}, [])
    used = [table.image_names[i] for i in np.unique(table.image_index)]
    for name in tqdm(used, "reading", disable=None, unit="image"):
        try:
            data, where = read_bytes(table.image_root, name)
            pictures.sizes_wh[name] = stored_size(data, where)
            pictures.digests[name] = hashlib.sha256(data).hexdigest()
        except UserError as error:
            pictures.broken.append(str(error))
    return pictures


def stated_sizes(table: PersonTable) -> dict[str, tuple[int, int]]:
    """Width and height as a COCO file has them; none of MPII's."""
    sizes = {name: table.size_wh(index) for index, name in enumerate(table.image_names)}
    return {name: size for name, size in sizes.items() if size is not None}


def as_stored(table: PersonTable, pictures: Pictures) -> PersonTable:
    """The people, with pictures of another size than stated drawn as they are, not refused."""
    if table.image_sizes_wh is None:
        return table
    sizes = table.image_sizes_wh.copy()
    for index, name in enumerate(table.image_names):
        if sorted(sizes[index]) != sorted(pictures.sizes_wh.get(name, (0, 0))):
            sizes[index] = 0
    return replace(table, image_sizes_wh=sizes)


def choose(found: Sequence[Suspicion], able: np.ndarray, count: int) -> list[int]:
    """Positions to draw: suspicious ones of every kind in turn, then others evenly spread.

    Args:
        found: all suspicions.
        able: (N,) bool, people whose picture can be read.
        count: how many; at most half of them are suspicious if there are others.
    """
    by_kind: dict[str, list[int]] = {}
    for one in found:
        if able[one.position]:
            by_kind.setdefault(one.what, []).append(one.position)
    depth = max(map(len, by_kind.values()), default=0)
    turns = [kind[i] for i in range(depth) for kind in by_kind.values() if i < len(kind)]
    suspicious = list(dict.fromkeys(turns))
    flagged = {one.position for one in found}
    plain = [i for i in np.flatnonzero(able).tolist() if i not in flagged]
    suspicious = suspicious[: max(count // 2, count - len(plain))]
    ranks = np.linspace(0, len(plain) - 1, min(count - len(suspicious), len(plain)))
    return suspicious + [plain[rank] for rank in ranks.round().astype(int)]


def write_grid(
    table: PersonTable, recipe: Recipe, shown: list[int], found: Sequence[Suspicion], output: Path
) -> None:
    """Annotated and augmented samples, pair by pair; suspicious ones have a red frame."""
    factor = -(-PANEL_PX // max(recipe.data.image_size_wh))
    width, height = (factor * side for side in recipe.data.image_size_wh)
    data = replace(recipe.data, image_size_wh=(width, height))
    plain = PersonCrops(table, data, recipe.codec, view_scale=AROUND)
    changed = PersonCrops(table, data, recipe.codec, augment=recipe.augment, seed=recipe.seed)
    skeleton = skeleton_named(table.skeleton)
    edge = [round(side * (1 - 1 / AROUND) / 2) for side in (width, height)]
    cells, words = [], []
    for position in shown:
        kinds = list(dict.fromkeys(one.what for one in found if one.position == position))
        said = kinds[0] + f" +{len(kinds) - 1}" * (len(kinds) > 1) if kinds else "annotated"
        for samples, word in ((plain, said), (changed, "augmented")):
            sample = samples.sample(0, position)
            keypoints = np.column_stack([sample.place.joints_xy, sample.place.visible])
            cell = drawing.draw_pose(sample.image_HWC, keypoints, skeleton, min_score=0.5)
            if samples is plain:
                far = (width - 1 - edge[0], height - 1 - edge[1])
                cv2.rectangle(cell, (edge[0], edge[1]), far, _WHITE, 1)
            if kinds:
                cv2.rectangle(cell, (0, 0), (width - 1, height - 1), _RED, 4)
            cells.append(cell)
            words.append(f"{table.rows[position]}: {word}")
    across = max(1, round((len(shown) * height / (2 * width)) ** 0.5))  # about square
    drawing.write_image(output, drawing.grid(cells, 2 * across, words))


def report(table: PersonTable, found: Sequence[Suspicion], pictures: Pictures) -> None:
    """Print statistics, and of each kind of suspicion the number and the first three."""
    print(f"=> {table.summary}")
    lines = inspection.statistics(table)
    for line in lines:
        print(line if line.startswith("suspicious") else f"=> {line}")
    if pictures.broken:
        many = counted(len(pictures.broken), "image")
        print(f"suspicious: cannot be read: {many}; first: {pictures.broken[0]}")
    kinds = dict.fromkeys(one.what for one in found)
    for kind in kinds:
        ones = [one for one in found if one.what == kind]
        print(f"suspicious: {kind}: {len(ones)}")
        for one in ones[:3]:
            print(f"    row {table.rows[one.position]} ({one.image}): {one.text}")
    if not found and not pictures.broken and not any(one.startswith("susp") for one in lines):
        print("=> nothing looks wrong")


EXAMPLES = (
    "python -m paddle_pose browse --dataset_root data/mpii --limit 1000",
    "python -m paddle_pose browse --dataset_root photos --annotations people.json --people 60",
)


def main(words: Sequence[str] | None = None) -> None:
    """Statistics, suspicions, and a picture of annotated and augmented samples."""
    parser = CommandLine("python -m paddle_pose browse", description=main.__doc__,
        examples=EXAMPLES)  # fmt: skip
    add = parser.add_argument
    add("--dataset_root", metavar="DIR", type=Path, required=True, help="of either layout")
    add(
        "--config",
        metavar="RECIPE",
        help="family:recipe or recipe.yaml: its crops and augmentation",
    )
    add("--annotations", metavar="FILE", type=Path, help="COCO: file instead of the layout's")
    add("--split", help="which one (the recipe's training split)")
    add("--output", type=Path, default=Path("browse.png"), help="picture; all findings: its .json")
    add("--people", metavar="N", type=int, default=24, help="people to draw (24)")
    add("--limit", metavar="N", type=int, help="look at the first N people only")
    parser.add_changes()
    given = parser.parse_args(words)
    if not 1 <= given.people <= MOST_PEOPLE:
        raise UserError(f"--people {given.people}: must be from 1 to {MOST_PEOPLE}")
    if given.limit is not None and given.limit < 1:
        raise UserError(f"--limit {given.limit}: must be at least 1")
    root = given.dataset_root
    if not root.is_dir():
        raise UserError(f"--dataset_root {root}: no such folder")
    recipe = recipe_for(root, given.config, given.annotations, given.assignments)
    chosen = given.split or (
        recipe.data.train_split if given.annotations else split_of(recipe, root)
    )
    split = names.require_plain(chosen, "--split")
    table = people_of(recipe, root, split, given.annotations).head(given.limit)
    listing = given.output.with_suffix(".json")
    images = (table.image_root / name for name in table.image_names)
    names.require_not_read([given.output, listing], [*table.files, *images])
    pictures = read_pictures(table)
    found = inspection.suspicions(table)
    found += inspection.picture_suspicions(
        table, pictures.sizes_wh, pictures.digests, stated_sizes(table)
    )
    table = as_stored(table, pictures)
    report(table, found, pictures)
    able = np.array([name in pictures.sizes_wh for name in table.image_names])[table.image_index]
    if not able.any():
        raise UserError(f"{table.image_root}: none of the images can be read: {pictures.broken[0]}")
    write_grid(table, recipe, choose(found, able, given.people), found, given.output)
    rows = [{"row": int(table.rows[one.position]), **asdict(one)} for one in found]
    write_json(listing, {"statistics": inspection.statistics(table), "suspicions": rows})
    print(f"=> {given.output}, {listing}", flush=True)
