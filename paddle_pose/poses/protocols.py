"""Whether two numbers were made under one protocol."""

from __future__ import annotations

from typing import Any

from paddle_pose.settings import Benchmark, OksProtocol


def same_protocol(one: dict[str, Any], other: dict[str, Any]) -> tuple[str, Any, Any] | None:
    """The first key, by name, in which two ``Benchmark.protocol`` differ, with both values.

    None where they are the same. What a file does not say has its default: older files say what
    is COCO's for MPII too, and older still lack what came later.
    """
    default = Benchmark(name="", metric=OksProtocol()).protocol()
    for key in sorted(one.keys() | other.keys() | default.keys()):
        has, wants = (given.get(key, default.get(key)) for given in (one, other))
        if has != wants:
            return key, has, wants
    return None
