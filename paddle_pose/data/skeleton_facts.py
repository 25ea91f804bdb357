"""What is said of a joint set: left and right, limbs, OKS constants, each with its source."""

from __future__ import annotations

from collections.abc import Mapping

from paddle_pose.skeletons import COCO17, Skeleton
from paddle_pose.understood import ASSUMED, Fact

KNOWN = "joint set"
"""Source of what a joint set of this project states."""

FROM_ONE, OTHERS = "from one", "others"
"""Sources of limbs that are assumed."""

MOST_SHOWN = 30
"""So many pairs are listed on the terminal; Halpe's 61 would fill it."""

_HOW = {
    "file": "as the file says",
    "recipe": "as the recipe says",
    "known name": "by the joints' names",
    KNOWN: "as the joint set has them",
    FROM_ONE: "the file's, counted from 1",
    OTHERS: "by the joints' names, as the file's do not fit its joints",
}


def skeleton_facts(
    skeleton: Skeleton, sources: Mapping[str, str], unknown_sigma: float = 0.0
) -> list[Fact]:
    """Facts of a joint set.

    Args:
        skeleton: the joints.
        sources: where ``pairs``, ``limbs`` and ``sigmas`` are from.
        unknown_sigma: what joints without a known OKS constant got.
    """
    joints = f"{len(skeleton)} of '{skeleton.name}'"
    pairs = [[skeleton.joints[i] for i in pair] for pair in skeleton.flip_pairs]
    shown = "; ".join(" - ".join(pair) for pair in pairs)
    text = f"{len(pairs)}, {_HOW[sources['pairs']]}"
    text += f" (left - right: {shown})" if 0 < len(pairs) <= MOST_SHOWN else ""
    facts = [
        Fact("joints", list(skeleton.joints), joints, "file"),
        Fact("flip_pairs", pairs, text, sources["pairs"]),
    ]
    if (lonely := skeleton.unpaired) and sources["pairs"] != "recipe":
        text = f"{', '.join(lonely)}: named left or right, and mirrored onto themselves"
        facts.append(Fact("joints without a partner", list(lonely), text, ASSUMED))
    limbs = [list(limb) for limb in skeleton.limbs]
    source = sources["limbs"]
    text = f"{len(limbs)}, {_HOW[source]}"
    facts.append(Fact("limbs", limbs, text, ASSUMED if source in (FROM_ONE, OTHERS) else source))
    if not skeleton.oks_sigmas:
        return facts
    source = sources["sigmas"]
    text = ("COCO's, " if source == "known name" else "") + _HOW.get(source, "")
    if source == ASSUMED:
        known = zip(skeleton.joints, skeleton.keys, strict=True)
        unknown = [name for name, key in known if key not in COCO17.keys]
        others = "; COCO's for the others" if len(unknown) < len(skeleton) else ""
        text = (
            f"{unknown_sigma} for {', '.join(unknown)}{others}; data.sigmas or the category's "
            "'sigmas' give them"
        )
    sigmas = dict(zip(skeleton.joints, skeleton.oks_sigmas, strict=True))
    return [*facts, Fact("sigmas", sigmas, text, source)]
