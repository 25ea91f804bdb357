"""A user's mistake: one line that says what was wrong, where, and what to do; exit code 2."""

from __future__ import annotations

import contextlib
import difflib
import sys
from collections.abc import Iterable, Iterator

_MOST_LISTED = 20
LONGEST_LINE = 400
"""Characters of a message; of a longer one (a user's own text in it) the middle is left out."""


class UserError(Exception):
    """Something the user can mend; shown as one line without a traceback."""

    def __init__(self, line: str) -> None:
        line = " ".join(line.split())
        if len(line) > LONGEST_LINE:
            line = f"{line[: LONGEST_LINE // 2]} … {line[3 - LONGEST_LINE // 2 :]}"
        # Control characters would act on the terminal, and lone surrogates cannot be printed.
        super().__init__("".join(c if c.isprintable() else ascii(c)[1:-1] for c in line))


def nearest(name: str, valid: Iterable[str]) -> str:
    """``, did you mean 'x'?`` for the closest valid name, else a list of valid names."""
    valid = sorted(valid)
    close = difflib.get_close_matches(name, valid, n=1, cutoff=0.5)
    if close:
        return f"; did you mean '{close[0]}'?"
    if len(valid) > _MOST_LISTED:
        return f"; valid: {', '.join(valid[:_MOST_LISTED])} and {len(valid) - _MOST_LISTED} more"
    return f"; valid: {', '.join(valid)}" if valid else ""


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
