"""How much memory there is, for this process and whoever shares its container."""

from __future__ import annotations

import os
from pathlib import Path

_LIMITS = (
    "/sys/fs/cgroup/memory.max",
    "/sys/fs/cgroup/memory/memory.limit_in_bytes",
)
"""Of a container: cgroups of version 2 and 1."""


def total_bytes() -> int:
    """The machine's memory or the container's limit, whichever is less; 0 where nothing says it."""
    found = [_limit(Path(file)) for file in _LIMITS]
    if hasattr(os, "sysconf") and "SC_PHYS_PAGES" in os.sysconf_names:
        found.append(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))
    return min((size for size in found if size > 0), default=0)


def _limit(file: Path) -> int:
    try:
        text = file.read_text(encoding="ascii").strip()
    except OSError:
        return 0
    return int(text) if text.isdecimal() else 0
