"""JSON files, plain or .gz, with errors in one line."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from paddle_pose.errors import UserError


def read_json(path: Path, object_hook: Callable[[dict[str, Any]], Any] | None = None) -> Any:
    """The content of a ``.json`` or ``.json.gz`` file, each object passed through the hook.

    Raises:
        UserError: missing, unreadable or not JSON; the line names the file and the place.
    """
    path = Path(path)
    try:
        if path.suffix == ".gz":
            with gzip.open(path, "rt", encoding="utf-8") as stream:
                return json.load(stream, object_hook=object_hook)
        with path.open(encoding="utf-8") as stream:
            return json.load(stream, object_hook=object_hook)
    except FileNotFoundError as error:
        raise UserError(f"{path}: no such file") from error
    except json.JSONDecodeError as error:
        raise UserError(
            f"{path}: not valid JSON ({error.msg} at line {error.lineno} column {error.colno}); "
            "is the download complete?"
        ) from error
    except (OSError, EOFError, UnicodeDecodeError, RecursionError) as error:
        raise UserError(f"{path}: cannot read this file ({error})") from error
