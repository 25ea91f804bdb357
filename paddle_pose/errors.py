"""A user's mistake: one line that says what was wrong, where, and what to do; exit code 2."""

from __future__ import annotations

import contextlib
import difflib
import sys
from collections.abc import Iterable, Iterator

LONGEST = 400
"""Characters of a message; what is too long is quoted from a file, and cut in its middle."""
_LISTED = 10


class UserError(Exception):
    """Something the user can mend; shown as one line without a traceback."""

    def __init__(self, line: str) -> None:
        line = " ".join(line.split())
        if len(line) > LONGEST:
            line = f"{line[: LONGEST // 2]} … {line[3 - LONGEST // 2 :]}"
        super().__init__(line)


def nearest(name: str, valid: Iterable[str]) -> str:
    """``; did you mean 'x'?`` for the closest valid name, else the first of the valid names."""
    valid = sorted(valid, key=lambda one: (one.count("."), one))
    begun = [one for one in valid if name and one.startswith(name)]
    if len(begun) > 1:
        return f"; did you mean one of {_listed(begun)}?"
    close = begun or difflib.get_close_matches(name[:200], valid, n=1, cutoff=0.5)
    if close:
        return f"; did you mean '{close[0]}'?"
    return f"; valid: {_listed(valid)}" if valid else ""


def _listed(names: list[str]) -> str:
    more = f" … ({len(names)} in all)" if len(names) > _LISTED else ""
    return ", ".join(names[:_LISTED]) + more


@contextlib.contextmanager
def one_line_errors() -> Iterator[None]:
    """Turn a UserError into ``error: …`` on standard error and exit code 2 (130 on Ctrl-C)."""
    try:
        yield
    except UserError as error:
        print(f"error: {error}", file=sys.stderr, flush=True)
        sys.exit(2)
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr, flush=True)
        sys.exit(130)
    except BrokenPipeError:
        sys.exit(141)
