"""The person category of a COCO keypoint file, and the joint set it describes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from paddle_pose.data.skeleton_facts import FROM_ONE, KNOWN, OTHERS, skeleton_facts
from paddle_pose.errors import UserError
from paddle_pose.plain import integer
from paddle_pose.settings import DataSettings
from paddle_pose.skeletons import COCO17, MPII16, Skeleton, joint_key, register, skeleton_named
from paddle_pose.understood import ASSUMED, Fact, Understood

FROM_FILE = "from_file"

UNKNOWN_JOINT_SIGMA = 0.1
"""OKS constant of a joint that neither the file nor COCO has one for: about COCO's hip."""

CROWDPOSE_SIGMA = 0.079
"""Of CrowdPose's head and neck; its other joints have COCO's."""

CROWDPOSE_AREA = 0.53
"""CrowdPose's truth has no area; its evaluation takes so much of the box."""

_SIGMAS = dict(zip(COCO17.keys, COCO17.oks_sigmas, strict=True))
_CROWDPOSE = {*COCO17.keys[5:], joint_key("head"), joint_key("neck")}
_UPPER = {joint_key(name) for name in (*COCO17.upper_body, *MPII16.upper_body)}

Pairs = tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Category:
    """Which annotations are people, and what their keypoints mean.

    Attributes:
        id: of people.
        skeleton: their joints.
        area: of people without one, as a fraction of the box.
        understood: the joints, where their pairs, limbs and sigmas are from.
    """

    id: int
    skeleton: Skeleton
    area: float = 1.0
    understood: Understood = field(default_factory=Understood)

    @property
    def is_crowdpose(self) -> bool:
        """Whether the joints are CrowdPose's."""
        return self.area == CROWDPOSE_AREA


def choose(content: dict[str, Any], file: Path) -> tuple[int, dict[str, Any]]:
    """Id and object of the category that has keypoints, the one called person of several.

    Without any keypoints (boxes alone, Halpe) the one called person, else the only one, else id 1.

    Raises:
        UserError: broken categories, or several candidates.
    """
    categories = [] if content.get("categories") is None else content["categories"]
    if not isinstance(categories, list) or not all(isinstance(c, dict) for c in categories):
        raise UserError(f"{file}: 'categories' must be a list of objects")
    people = [c for c in categories if c.get("name") == "person"]
    with_keypoints = [c for c in categories if c.get("keypoints")]
    candidates = with_keypoints or people or categories
    if len(candidates) > 1:
        candidates = [c for c in candidates if c.get("name") == "person"] or candidates
    if len(candidates) > 1:
        names = ", ".join(str(c.get("name")) for c in candidates[:10])
        raise UserError(
            f"{file}: several keypoint categories ({names}); keep one, or call one 'person'"
        )
    chosen = candidates[0] if candidates else {}
    if chosen.get("id") is None:
        return 1, chosen
    return integer(chosen["id"], f"{file}: category '{chosen.get('name')}': id"), chosen


def read_category(
    content: dict[str, Any],
    file: Path,
    skeleton_name: str,
    *,
    stated: DataSettings | None = None,
    joints: int | None = None,
) -> Category:
    """The keypoint category of a file, and its joints.

    ``from_file`` makes a Skeleton of the category. Pairs, limbs and OKS sigmas are the recipe's,
    else the file's (``flip_pairs`` or ``swap``, ``skeleton``, ``sigmas``), else those that the
    joints' names say, in any spelling.

    Args:
        content: of the file.
        file: for messages.
        skeleton_name: a joint set, or ``from_file``.
        stated: the recipe's ``flip_pairs``, ``sigmas``, ``limbs``.
        joints: how many each annotated person has; None where nobody is annotated.

    Raises:
        UserError: several candidates, or joints that are not those of ``skeleton_name``.
    """
    category_id, chosen = choose(content, file)
    stated = stated or DataSettings()
    names = joint_names(chosen, file)
    listed, kept = _fitting(names, joints, file)
    facts = [] if kept is None else [kept]
    if joints and chosen.get("id") is None:
        text = f"'{category_id}' is people's, as the file gives it no id"
        facts.append(Fact("category_id", category_id, text, ASSUMED))
    if skeleton_name == FROM_FILE:
        if not listed and not joints:
            raise UserError(
                f"{file}: its category lists no 'keypoints'; name a joint set in the recipe"
            )
        if not listed:
            listed = tuple(str(number) for number in range(1, (joints or 0) + 1))
            text = f"{joints} without names, called 1 … {joints}"
            facts.append(Fact("joint names", list(listed), text, ASSUMED))
        skeleton, sources = _skeleton(chosen, listed, stated, file)
        register(skeleton)
        return _told(category_id, skeleton, sources, facts)
    for name in ("flip_pairs", "sigmas", "limbs"):
        if getattr(stated, name) is not None:
            raise UserError(
                f"data.{name}: '{skeleton_name}' has its own; set data.skeleton={FROM_FILE} as well"
            )
    skeleton = skeleton_named(skeleton_name)
    same = tuple(joint_key(name, listed) for name in listed) == skeleton.keys
    if (listed and not same) or joints not in (None, len(skeleton)):
        count = len(listed) if listed and not same else joints
        shown = f" ({', '.join(listed[:4])}, …)" if listed else ""
        raise UserError(
            f"{file}: its people have {count} joints{shown}, not the {len(skeleton)} of "
            f"'{skeleton_name}'; use --set data.skeleton={FROM_FILE}"
        )
    if joints and not listed:
        text = f"those of '{skeleton_name}' in its order, as the file names none"
        facts.append(Fact("joint names", list(skeleton.joints), text, ASSUMED))
    unused = [name for name in ("flip_pairs", "swap", "sigmas") if chosen.get(name)]
    if unused:
        text = f"the file's are not taken, as '{skeleton_name}' has its own; "
        text += f"data.skeleton={FROM_FILE} takes them"
        facts.append(Fact(" and ".join(unused), unused, text, ASSUMED))
    return _told(category_id, skeleton, dict.fromkeys(("pairs", "limbs", "sigmas"), KNOWN), facts)


def joint_names(category: dict[str, Any], file: Path) -> tuple[str, ...]:
    """What a category lists as ``keypoints``, none for none; Raises UserError."""
    listed = category.get("keypoints") or []
    if not isinstance(listed, list) or not all(
        isinstance(name, str | int) and not isinstance(name, bool) and str(name).strip()
        for name in listed
    ):
        raise UserError(f"{file}: category 'keypoints' must be a list of names, got {listed!r:.80}")
    names = tuple(str(name) for name in listed)
    if len(set(names)) != len(names):
        raise UserError(f"{file}: a keypoint name is listed twice: {', '.join(names)[:300]}")
    return names


def _fitting(
    names: tuple[str, ...], joints: int | None, file: Path
) -> tuple[tuple[str, ...], Fact | None]:
    """The names that the people's joints have; the first ones where those are a known set."""
    if not names or joints is None or joints == len(names):
        return names, None
    first = names[:joints]
    keys = tuple(joint_key(name, names) for name in first)
    if keys in (COCO17.keys, MPII16.keys):
        text = f"the first {joints} of the {len(names)} that the category lists"
        return first, Fact("joint names", list(first), text, ASSUMED)
    raise UserError(
        f"{file}: its category lists {len(names)} keypoints, but its people have {joints} (x, y, "
        "visibility) each; list the names of those, in their order"
    )


def _skeleton(
    category: dict[str, Any], joints: tuple[str, ...], stated: DataSettings, file: Path
) -> tuple[Skeleton, dict[str, str]]:
    """The joint set, and where its pairs, limbs and sigmas are from."""
    keys = tuple(joint_key(name, joints) for name in joints)
    skeleton = Skeleton(
        name=FROM_FILE,
        joints=joints,
        limbs=(),
        upper_body=tuple(name for name, key in zip(joints, keys, strict=True) if key in _UPPER),
    )
    pairs, from_pairs = _pairs(category, skeleton, stated, file)
    limbs, from_limbs = _limbs(category, joints, keys, stated, file)
    sigmas, from_sigmas = _sigmas(category, keys, stated, file)
    skeleton = Skeleton(
        name=FROM_FILE,
        joints=joints,
        limbs=limbs,
        upper_body=skeleton.upper_body,
        oks_sigmas=sigmas,
        pairs=pairs,
    )
    return skeleton, {"pairs": from_pairs, "limbs": from_limbs, "sigmas": from_sigmas}


def _pairs(
    category: dict[str, Any], skeleton: Skeleton, stated: DataSettings, file: Path
) -> tuple[Pairs | None, str]:
    if stated.flip_pairs is not None:
        pairs, source = _named(stated.flip_pairs, skeleton.joints, "data.flip_pairs", 0), "recipe"
        return _require_disjoint(pairs, "data.flip_pairs"), source
    where = f"{file}: category 'flip_pairs'"
    given = category.get("flip_pairs")
    if given is None and isinstance(category.get("swap"), list):
        where, swaps = f"{file}: category 'swap'", category["swap"]
        if len(swaps) != len(skeleton):
            raise UserError(f"{where}: expected {len(skeleton)} names, got {swaps!r:.80}")
        both = [p for p in zip(skeleton.joints, swaps, strict=True) if p[1] not in ("", None)]
        given = [p for n, p in enumerate(both) if p[::-1] not in both[:n]]
    elif given is None:
        return None, "known name"
    first = 0
    pairs_given = given if isinstance(given, list) else []  # anything else is refused by _named
    numbers = [end for pair in pairs_given if isinstance(pair, list) for end in pair]
    if numbers and all(type(end) is int for end in numbers) and 0 not in numbers:
        counted = [_named(given, skeleton.joints, where, start) for start in (1,)]
        from_zero = max(numbers) < len(skeleton)
        by_name = {frozenset(skeleton.joints[i] for i in pair) for pair in skeleton.flip_pairs}
        if not from_zero or {frozenset(pair) for pair in counted[0]} == by_name:
            first = 1
        elif {frozenset(p) for p in _named(given, skeleton.joints, where, 0)} != by_name:
            raise UserError(f"{where}: do places count from 0 or from 1? Give the joints' names")
    return _require_disjoint(_named(given, skeleton.joints, where, first), where), "file"


def _named(pairs: Any, joints: Sequence[str], where: str, first: int) -> Pairs:
    """Pairs of names or places, as names; Raises UserError."""
    found = []
    for pair in pairs if isinstance(pairs, list | tuple) else [pairs]:
        names = []
        for end in pair if isinstance(pair, list | tuple) else [pair]:
            if isinstance(end, str) and end in joints:
                names.append(end)
            elif isinstance(end, int) and not isinstance(end, bool):
                if not 0 <= end - first < len(joints):
                    raise UserError(f"{where}: place {end} is not one of {len(joints)} joints")
                names.append(joints[end - first])
            else:
                raise UserError(f"{where}: {end!r:.80} is not one of {', '.join(joints)[:300]}")
        if len(names) != 2 or names[0] == names[1]:
            raise UserError(f"{where}: expected pairs of two joints, got {pair!r:.80}")
        found.append((names[0], names[1]))
    return tuple(found)


def _require_disjoint(pairs: Pairs, where: str) -> Pairs:
    ends = [end for pair in pairs for end in pair]
    twice = [end for end in ends if ends.count(end) > 1]
    if twice:
        raise UserError(f"{where}: '{twice[0]}' is in two pairs")
    return pairs


def _limbs(
    category: dict[str, Any],
    joints: tuple[str, ...],
    keys: Sequence[Any],
    stated: DataSettings,
    file: Path,
) -> tuple[Pairs, str]:
    """Names of pairs, from 1 (or from 0 where a 0 stands); COCO's where they do not fit.

    CrowdPose's official file lists 14 joints beside COCO's limbs of 17.
    """
    if stated.limbs is not None:
        return _named(stated.limbs, joints, "data.limbs", 0), "recipe"
    given, where = category.get("skeleton") or [], f"{file}: category 'skeleton'"
    ends = [
        end
        for pair in (given if isinstance(given, list) else [given])
        for end in (pair if isinstance(pair, list) else [pair])
    ]
    if all(type(end) is int for end in ends):
        first = 0 if 0 in ends else 1
        if ends and min(ends) >= first and max(ends) < len(joints) + first:
            sure = first == 0 or max(ends) == len(joints)
            return _named(given, joints, where, first), "file" if sure else FROM_ONE
        names = dict(zip(keys, joints, strict=True))
        ours = [tuple(joint_key(end) for end in limb) for limb in COCO17.limbs]
        found = ((names[a], names[b]) for a, b in ours if a in names and b in names)
        return tuple(found), OTHERS if ends else "known name"
    return _named(given, joints, where, 1), "file"


def _sigmas(
    category: dict[str, Any], keys: Sequence[Any], stated: DataSettings, file: Path
) -> tuple[tuple[float, ...], str]:
    for given, where, source in (
        (stated.sigmas, "data.sigmas", "recipe"),
        (category.get("sigmas"), f"{file}: category 'sigmas'", "file"),
    ):
        if given is not None and (given != [] or source == "recipe"):
            good = isinstance(given, list | tuple) and all(
                type(value) in (int, float) and 0.001 <= value <= 1 for value in given
            )
            if not good or len(given) != len(keys):
                raise UserError(
                    f"{where}: expected {len(keys)} numbers from 0.001 to 1, got {given!r:.80}"
                )
            return tuple(float(value) for value in given), source
    known = dict(_SIGMAS)
    if set(keys) == _CROWDPOSE:
        known |= {joint_key("head"): CROWDPOSE_SIGMA, joint_key("neck"): CROWDPOSE_SIGMA}
    found = tuple(known.get(key, UNKNOWN_JOINT_SIGMA) for key in keys)
    return found, "known name" if all(key in known for key in keys) else ASSUMED


def _told(
    category_id: int, skeleton: Skeleton, sources: dict[str, str], facts: list[Fact]
) -> Category:
    told = Understood((*facts, *skeleton_facts(skeleton, sources, UNKNOWN_JOINT_SIGMA)))
    area = CROWDPOSE_AREA if set(skeleton.keys) == _CROWDPOSE else 1.0
    return Category(category_id, skeleton, area, told)
