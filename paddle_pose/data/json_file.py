"""JSON files in and out: plain or .gz, errors in one line, written whole or not at all."""

from __future__ import annotations

import gzip
import json
import os
import tempfile
from pathlib import Path
from typing import Any

from paddle_pose.errors import UserError


def read_json(path: Path) -> Any:
    """The content of a ``.json`` or ``.json.gz`` file.

    Raises:
        UserError: missing, unreadable or not JSON; the line names the file and the place.
    """
    path = Path(path)
    try:
        if path.suffix == ".gz":
            with gzip.open(path, "rt", encoding="utf-8") as stream:
                return json.load(stream)
        with path.open(encoding="utf-8") as stream:
            return json.load(stream)
    except FileNotFoundError as error:
        raise UserError(f"{path}: no such file") from error
    except json.JSONDecodeError as error:
        raise UserError(
            f"{path}: not valid JSON ({error.msg} at line {error.lineno} column {error.colno}); "
            "is the download complete?"
        ) from error
    except (OSError, EOFError, UnicodeDecodeError, RecursionError) as error:
        raise UserError(f"{path}: cannot read this file ({error})") from error


def write_json(path: Path, value: Any) -> None:
    """Write JSON beside the target and move it there, so that no half file is ever seen.

    Raises:
        UserError: the folder cannot be written.
    """
    path = Path(path)
    temporary = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=path.name, suffix=".part")
        with os.fdopen(handle, "w", encoding="utf-8") as stream:
            json.dump(value, stream, allow_nan=False)
        mask = os.umask(0)
        os.umask(mask)
        os.chmod(temporary, 0o666 & ~mask)  # mkstemp makes files for the owner alone
        os.replace(temporary, path)
    except OSError as error:
        raise UserError(f"{path}: cannot be written ({error})") from error
    finally:
        if temporary is not None and os.path.exists(temporary):
            os.unlink(temporary)
