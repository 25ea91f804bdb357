"""Images inside ``.zip`` and ``.tar`` files, read where they lie.

An archive is listed once, in the process that starts the workers, which then share the list. Every
read opens the file anew: that costs 20 µs of a photo's 3 ms, and no position in a file is ever
shared between processes.
"""

from __future__ import annotations

import os
import struct
import tarfile
import zipfile
import zlib
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path, PurePosixPath

from paddle_pose.errors import UserError
from paddle_pose.limits import LIMITS

ENDINGS = (".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff")
"""Of image files."""

BROKEN = (OSError, ValueError, OverflowError, EOFError, struct.error, RecursionError)
"""What the standard library raises for broken archives, besides errors of its own."""

_LOCAL_HEADER = struct.Struct("<4s22xHH")
"""Of a ZIP member: signature, lengths of the name and the extra field; its data follow these."""


@dataclass(frozen=True, slots=True)
class Member:
    """One image in an archive.

    Attributes:
        archive: the file.
        name: path inside it.
        offset: of the data (tar), or of the local header before them (zip).
        size: bytes in the archive.
        whole_size: bytes of the image; other than ``size`` where it is compressed.
        crc: of the image's bytes; None in a tar, which has none.
        deflated: whether the bytes are compressed.
    """

    archive: Path
    name: str
    offset: int
    size: int
    whole_size: int
    crc: int | None
    deflated: bool

    def read(self) -> bytes:
        """The image file's bytes; Raises UserError naming archive and member."""
        where = f"{self.archive}: member '{self.name}'"
        LIMITS["image_file_bytes"].require(max(self.size, self.whole_size), where)
        try:
            with self.archive.open("rb") as stream:
                stream.seek(self.offset)
                if self.crc is not None:
                    signature, name, extra = _LOCAL_HEADER.unpack(stream.read(_LOCAL_HEADER.size))
                    if signature != b"PK\x03\x04":
                        raise UserError(f"{where}: no header where the archive's list says so")
                    stream.seek(name + extra, os.SEEK_CUR)
                data = stream.read(self.size)
            if len(data) != self.size:
                raise UserError(f"{where} is cut short; copy or download the archive again")
            if self.deflated:
                # One byte more than announced is enough for the CRC to fail.
                unpacked = zlib.decompressobj(-zlib.MAX_WBITS)
                data = unpacked.decompress(data, self.whole_size + 1)
        except (OSError, struct.error, zlib.error) as error:
            raise UserError(f"{where} cannot be read ({error})") from error
        if self.crc is not None and zlib.crc32(data) != self.crc:
            raise UserError(f"{where} is damaged (wrong CRC); copy or download the archive again")
        return data


class ImageArchives:
    """The images of some archives by name, whatever one folder they all lie in."""

    def __init__(self, files: tuple[Path, ...]) -> None:
        self.files = files
        self._members: dict[str, Member] = {}
        for file in files:
            for member in _zip_members(file) if file.suffix == ".zip" else _tar_members(file):
                self._members.setdefault(member.name, member)
        folders = {str(PurePosixPath(name).parent) for name in self._members}
        self._prefix = os.path.commonpath(folders) if folders else ""
        self._by_stem: dict[str, str] | None = None

    def __len__(self) -> int:
        return len(self._members)

    def find(self, name: str) -> Member | None:
        """The member of that name, below the archives' common folder if there is one.

        Like ``image_files.find_image`` it takes one that differs only in case or ending.
        """
        inner = str(PurePosixPath(self._prefix, name))
        found = self._members.get(name) or self._members.get(inner)
        if found is None:
            if self._by_stem is None:
                self._by_stem = {_stem(member): member for member in reversed(self._members)}
            closest = self._by_stem.get(_stem(name)) or self._by_stem.get(_stem(inner))
            found = self._members[closest] if closest else None
        return found

    def read(self, name: str) -> tuple[bytes, str]:
        """The bytes of an image and where they lie, for messages; Raises UserError."""
        member = self.find(name)
        if member is None:
            several = f" and {len(self.files) - 1} more" if len(self.files) > 1 else ""
            raise UserError(
                f"{self.files[0]}{several}: no member '{name}' among {len(self)} images; "
                "is the archive complete?"
            )
        return member.read(), f"{member.archive}: {member.name}"


def archives_of(image_root: Path) -> tuple[Path, ...]:
    """The archives that stand for a folder of images; none if images lie there or nothing is.

    ``images.zip``, ``images.tar`` or shards ``images*.tar`` beside where the folder would be, or
    ``.zip`` and ``.tar`` files in it.
    """
    root = Path(image_root)
    folder = root if root.is_dir() else root.parent
    return _archives_in(folder, root, folder.stat().st_mtime_ns) if folder.is_dir() else ()


@lru_cache(maxsize=8)
def _archives_in(folder: Path, root: Path, modified_ns: int) -> tuple[Path, ...]:
    del modified_ns  # part of the cache's key only
    if folder == root:
        files = sorted(root.iterdir())
        if any(_is_image(file.name) for file in files):
            return ()
        return tuple(file for file in files if file.suffix in (".zip", ".tar"))
    whole = [root.with_name(root.name + ending) for ending in (".zip", ".tar")]
    found = [file for file in whole if file.is_file()]
    return tuple(found[:1] or sorted(folder.glob(f"{root.name}*.tar")))


def open_archives(image_root: Path) -> ImageArchives | None:
    """The images of a folder's archives, listed once; None where it has none; Raises UserError."""
    files = archives_of(image_root)
    if not files:
        return None
    return _listed(files, tuple(file.stat().st_mtime_ns for file in files))


@lru_cache(maxsize=8)
def _listed(files: tuple[Path, ...], modified_ns: tuple[int, ...]) -> ImageArchives:
    del modified_ns  # part of the cache's key only
    return ImageArchives(files)


def _stem(name: str) -> str:
    return os.path.splitext(name)[0].lower()


def _relative(name: str) -> str:
    """A member's path without what ``tar -P`` or ``tar .`` put before it."""
    return name.removeprefix("./").lstrip("/")


def _is_image(name: str) -> bool:
    return name.lower().endswith(ENDINGS) and not PurePosixPath(name).name.startswith("._")


def _zip_members(file: Path) -> list[Member]:
    try:
        with zipfile.ZipFile(file) as archive:
            LIMITS["archive_members"].require(len(archive.infolist()), str(file))
            listed = [info for info in archive.infolist() if _is_image(info.filename)]
    except (*BROKEN, zipfile.BadZipFile, NotImplementedError) as error:
        raise UserError(f"{file}: not a ZIP file that can be read ({error})") from error
    for info in listed:
        if info.flag_bits & 1 or info.compress_type not in (
            zipfile.ZIP_STORED,
            zipfile.ZIP_DEFLATED,
        ):
            raise UserError(
                f"{file}: member '{info.filename}' is encrypted or compressed in a way that is "
                "not read here; pack the images stored or deflated (zip -0 -r images.zip images)"
            )
    return [
        Member(
            file,
            _relative(info.filename),
            info.header_offset,
            info.compress_size,
            info.file_size,
            info.CRC,
            info.compress_type == zipfile.ZIP_DEFLATED,
        )
        for info in listed
    ]


class TarHeader(tarfile.TarInfo):
    """Refuses a size below zero, from which older Pythons go back and read for ever."""

    def _block(self, count: int) -> int:
        if count < 0:
            raise tarfile.ReadError(f"a member of {count} bytes")
        return super()._block(count)  # type: ignore[misc]


def _tar_members(file: Path) -> list[Member]:
    try:
        size = file.stat().st_size
        members: list[Member] = []
        with tarfile.open(file, "r:", tarinfo=TarHeader) as archive:
            while (info := archive.next()) is not None:
                LIMITS["archive_members"].require(len(members), str(file))
                archive.members.clear()  # type: ignore[attr-defined]  # else every header is kept
                name = _relative(info.name)
                if info.isreg() and _is_image(name):
                    place = info.offset_data, info.size, info.size
                    members.append(Member(file, name, *place, None, False))
    except (*BROKEN, tarfile.TarError) as error:
        raise UserError(
            f"{file}: not an uncompressed tar file that can be read ({error}); "
            "a .tar.gz must be unzipped first (gunzip)"
        ) from error
    if members and members[-1].offset + members[-1].size > size:
        raise UserError(
            f"{file}: member '{members[-1].name}' is cut short; copy or download the archive again"
        )
    return members
