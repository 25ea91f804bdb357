"""Runs command lines and Python blocks of the documents, in this folder and order.

``python typed_commands.py < commands.json``, a list of [kind, text, exit code], puts out a line of
JSON each, [exit code, output], up to the first one that ends otherwise. Paddle's import, most of
the time of a small command, is done once: each Python command is a fork that has computed nothing.
"""

from __future__ import annotations

import json
import os
import re
import runpy
import shlex
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Callable

from paddle_pose.system import runtime

runtime.configure(quiet=True)
runtime.import_paddle()


def python(words: list[str]) -> None:
    """``python WORDS``, in this process."""
    if words[0] == "-m":
        sys.argv = words[1:]
        runpy.run_module(words[1], run_name="__main__", alter_sys=True)
    else:
        sys.argv = words
        runpy.run_path(words[0], run_name="__main__")


def exit_code(run: Callable[[], None]) -> int:
    """As the interpreter ends."""
    try:
        run()
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:
        traceback.print_exc()
        return 1
    return 0


def forked(run: Callable[[], None], said: int) -> int:
    """Exit code of what runs in a fork that writes there."""
    child = os.fork()
    if child:
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    os.dup2(said, 1)
    os.dup2(said, 2)
    code = exit_code(run)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def run(kind: str, text: str, said: int) -> int:
    """Exit code of one of them."""
    if kind == "python":
        return forked(lambda: exec(compile(text, "block", "exec"), {"__name__": "__main__"}), said)  # noqa: S102 (this repository's own text)
    words = shlex.split(text, comments=True)
    if (
        words[0] != "python"
        or "paddle.distributed.launch" in words
        or re.search(r"[|&;<>$*]", text)
    ):
        shell = f'python() {{ "{sys.executable}" "$@"; }}\n{text}'
        return subprocess.run(
            ["bash", "-ec", shell], stdout=said, stderr=said, check=False
        ).returncode
    return forked(lambda: python(words[1:]), said)


def main() -> None:
    """Each of them."""
    for kind, text, expected in json.load(sys.stdin):
        with tempfile.TemporaryFile("w+", encoding="utf-8") as said:
            code = run(kind, text, said.fileno())
            said.seek(0)
            print(json.dumps([code, said.read()]), flush=True)
        if code != expected:
            return


if __name__ == "__main__":
    main()
