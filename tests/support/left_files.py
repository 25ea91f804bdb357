"""What commands of the docs leave beside a clone's own files."""

from __future__ import annotations

import subprocess
from pathlib import Path

from places import ROOT


def not_ignored(folder: Path) -> list[str]:
    """Names in a folder that git would show as new ones, were the folder the clone."""
    made = [path for path in sorted(folder.iterdir()) if not path.is_symlink()]
    names = [path.name + "/" * path.is_dir() for path in made]
    git = ["git", "-C", str(ROOT), "check-ignore", "--no-index", "--stdin"]
    done = subprocess.run(git, input="\n".join(names), capture_output=True, text=True)
    assert done.returncode in (0, 1), done.stderr
    return sorted(set(names) - set(done.stdout.splitlines()))
