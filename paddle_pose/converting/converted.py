"""What every converter gives back: files in memory, what was understood, what was left out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from paddle_pose import names
from paddle_pose.errors import UserError
from paddle_pose.files import write_bytes, write_json
from paddle_pose.understood import ASSUMED, Fact, Understood, counted


def assumed(what: str, value: Any, text: str) -> Fact:
    """What no file states."""
    return Fact(what, value, text, ASSUMED)


@dataclass
class LeftOut:
    """Counts by reason, each with the first place; a reason begins with a plural (``people …``)."""

    counts: Counter[str] = field(default_factory=Counter)
    first: dict[str, str] = field(default_factory=dict)

    def add(self, reason: str, where: str, count: int = 1) -> None:
        """Count; ``where``: file and record."""
        if count:
            self.counts[reason] += count
            self.first.setdefault(reason, where)

    def fact(self) -> Fact:
        """One line of all of them."""
        parts = [
            f"{counted(n, _of_one(why), why)} (first: {self.first[why]})"
            for why, n in self.counts.items()
            if n
        ]
        return Fact("left_out", dict(self.counts), "; ".join(parts) or "nothing", "counted")


def _of_one(reason: str) -> str:
    """``person without …`` for ``people without …``."""
    noun, _, rest = reason.partition(" ")
    one = "person" if noun == "people" else noun.removesuffix("s")
    return f"{one} {rest}".rstrip()


@dataclass(frozen=True)
class Converted:
    """The result of a converter.

    Attributes:
        files: path → plain data for JSON, or bytes.
        inputs: files that were read; none of them may be written.
        understood: what was read, assumed and left out.
        image_root: the folder that the images' names are relative to, where it is known.
    """

    files: Mapping[Path, Any]
    inputs: tuple[Path, ...]
    understood: Understood
    image_root: Path | None = None

    def write(self) -> None:
        """Say what was understood, then write every file whole; Raises UserError."""
        names.require_not_read(self.files, self.inputs)
        names.say_replaced(list(self.files))
        self.understood.tell()
        for path, content in self.files.items():
            if isinstance(content, bytes):
                write_bytes(path, content)
            else:
                write_json(path, content, indent=None)
        for path in self.files:  # when all are written: nobody may listen any more
            print(f"=> {path}", flush=True)


def require_folder(folder: Path, option: str) -> Path:
    """The folder; Raises UserError where there is none."""
    if not folder.is_dir():
        raise UserError(f"{option} {folder}: no such folder")
    return folder


def require_file(file: Path, option: str) -> Path:
    """The file; Raises UserError where there is none."""
    if not file.is_file():
        raise UserError(f"{option} {file}: no such file")
    return file


def link_images(output: Path, images: Path) -> str:
    """Make ``images`` found below ``output``; what was done, as a line."""
    link = output / "images"
    if output.exists() and output.samefile(images):  # a data set converted where it lies
        return f"=> images: {output}"
    if link.exists() and link.samefile(images):
        return f"=> images: {link}"
    if link.exists() or link.is_symlink():
        raise UserError(f"{link}: is there already and is not {images}; name another --output")
    try:
        output.mkdir(parents=True, exist_ok=True)
        link.symlink_to(images.resolve())
    except OSError as error:
        raise UserError(f"{link}: cannot make this link ({error.strerror or error})") from error
    return f"=> images: {link} is a link to {images}"
