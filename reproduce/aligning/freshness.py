"""Which of the project's code a row judges, as a digest: a row made by other code is stale.

The digest is of the files below and all that they import, without comments, docstrings and layout,
and of the network's numbers. Not in it are the comparing code (this folder), the versions of Paddle
and other packages, and the machine.
"""

from __future__ import annotations

import ast
import functools
import hashlib
from collections.abc import Iterator
from pathlib import Path

from reproduce.aligning.networks import NETWORKS, ROOT
from reproduce.aligning.rows import STEPS, read

ARCHITECTURE = "paddle_pose/models/architectures.py"
NETWORK_FILES = {
    "hourglass52": "paddle_pose/models/hourglass52.py",
    "newell_hg2": "paddle_pose/models/newell_hourglass.py",
    "hrnet_w32": "paddle_pose/models/hrnet.py",
    "hrnet_w48": "paddle_pose/models/hrnet.py",
    "pose_resnet50": "paddle_pose/models/pose_resnet.py",
}
DATA = ("paddle_pose/data/top_down.py", "paddle_pose/codecs/heatmap.py")
STEP_FILES = {
    "forward": (),
    "initialisation": (),
    "batch norm": (),
    "loss": ("paddle_pose/training/losses.py",),
    "backward": ("paddle_pose/training/losses.py",),
    "optimiser": ("paddle_pose/training/losses.py",),
    "learning rate": ("paddle_pose/training/schedules.py",),
    "decode": ("paddle_pose/codecs/heatmap.py", "paddle_pose/skeletons.py"),
    "mpii data": ("paddle_pose/data/mpii.py", *DATA),
    "coco data": ("paddle_pose/data/coco.py", *DATA),
    "mpii metric": ("paddle_pose/evaluation/mpii.py",),
    "coco metric": ("paddle_pose/evaluation/coco.py",),
}
"""What a step judges besides the network: a step, or one of a data set."""
MOVES_NOTHING = (
    "paddle_pose/errors.py",
    "paddle_pose/system/parallel.py",
    "paddle_pose/models/synchronized.py",
    "paddle_pose/system/runtime.py",
)
"""Messages; several processes, where rows are made in one; what the machine is."""


def stale(folder: Path, evidence: str) -> list[str]:
    """A line for every file with rows of other code: which steps, and the command to renew it."""
    lines = []
    for file in sorted(folder.glob("*.json")):
        old = [row for row in read(file) if row.code != digest(row.network, row.step)]
        steps = sorted({row.step for row in old if row.evidence == evidence}, key=STEPS.index)
        if steps:
            line = (
                f"{file.name}: other code made its rows of {', '.join(steps)}; renew them by "
                f"OMP_NUM_THREADS=1 python -m reproduce.align --only {old[0].network}"
            )
            if evidence == "live":
                clones = " and of ".join(sorted({row.reference.repository for row in old}))
                line += f" --reference DIR --torch_python PATH, DIR being a clone of {clones}"
            lines.append(line)
    return lines


@functools.lru_cache(maxsize=256)
def digest(network: str, step: str) -> str:
    """Twelve hexadecimal digits of the code that a row of that step judges."""
    found = hashlib.sha256()
    for file in sorted(files(network, step)):
        found.update(f"{file}\n{_tree_digest(ROOT / file)}\n".encode())
    if network in NETWORKS and step != "learning rate":
        found.update(repr(NETWORKS[network].load().model).encode())
    return found.hexdigest()[:12]


def files(network: str, step: str) -> set[str]:
    """The code that a row of that step judges, relative to the repository."""
    first = {*STEP_FILES.get(step, ()), *STEP_FILES.get(f"{network} {step}", ())}
    whole = set()
    if network in NETWORKS and step != "learning rate":
        first.add(NETWORK_FILES[network])
        whole.add(ARCHITECTURE)  # alone: it imports every network
    waiting = sorted(first)
    while waiting:
        file = waiting.pop()
        if file not in whole and file not in MOVES_NOTHING:
            whole.add(file)
            waiting += imports(ROOT / file)
    return whole


@functools.lru_cache(maxsize=256)
def imports(file: Path) -> tuple[str, ...]:
    """Files of the project that one imports to run, wherever in it."""
    found = set()
    for node in _running(ast.parse(file.read_bytes())):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            names = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
        paths = (name.replace(".", "/") + ".py" for name in names if name.startswith("paddle_pose"))
        found |= {path for path in paths if (ROOT / path).is_file()}
    return tuple(sorted(found))


def _running(node: ast.AST) -> Iterator[ast.AST]:
    """``ast.walk`` without what only type checkers read."""
    if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
        return
    yield node
    for child in ast.iter_child_nodes(node):
        yield from _running(child)


@functools.lru_cache(maxsize=256)
def _tree_digest(file: Path) -> str:
    return hashlib.sha256(tree(file.read_text(encoding="utf-8")).encode()).hexdigest()


def tree(source: str) -> str:
    """The code as Python understands it, without docstrings; equal under every version of Python.

    ``ast.dump`` is not: newer versions add fields, which are empty in older code.
    """
    return _dump(ast.parse(source))


def _dump(node: object) -> str:
    if isinstance(node, list):
        return f"[{','.join(_dump(child) for child in node if not _is_text_alone(child))}]"
    if not isinstance(node, ast.AST):
        return repr(node)
    fields = ((name, value) for name, value in ast.iter_fields(node) if value not in (None, []))
    return f"{type(node).__name__}({','.join(f'{name}={_dump(v)}' for name, v in fields)})"


def _is_text_alone(node: object) -> bool:
    """A docstring, of a constant too."""
    return (
        isinstance(node, ast.Expr)
        and isinstance(node.value, ast.Constant)
        and isinstance(node.value.value, str)
    )
