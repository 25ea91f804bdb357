"""Ends of a command: one line that says what was wrong and what to do, and the exit code."""

from __future__ import annotations

import contextlib
import difflib
import errno
import io
import sys
from collections.abc import Iterable, Iterator

from paddle_pose.system import ending

_MOST_LISTED = 10
_FULL = (errno.ENOSPC, errno.EFBIG, errno.EDQUOT)
LONGEST_LINE = 400
"""Characters of a message; of a longer one (a user's own text in it) the middle is left out."""
EXIT_CODES = (
    "exit codes: 0 done; 1 a fault of the machine or of this program; 2 something that you can "
    "mend (the line says what); 130, 143, 129 stopped by Ctrl-C, SIGTERM or SIGHUP, with a state "
    "to go on from where it was training; 141 nobody reads the output any more"
)
"""As ``--help`` says it."""


class UserError(Exception):
    """Something the user can mend; shown as one line without a traceback.

    ``way_out`` (a command to copy) follows it whole, however long the line is.
    """

    def __init__(self, line: str, way_out: str = "") -> None:
        line = " ".join(line.split())
        if len(line) > LONGEST_LINE:
            line = f"{line[: LONGEST_LINE // 2]} … {line[3 - LONGEST_LINE // 2 :]}"
        line += way_out
        # Control characters would act on the terminal, and lone surrogates cannot be printed.
        super().__init__("".join(c if c.isprintable() else ascii(c)[1:-1] for c in line))


class CannotWrite(UserError):
    """A disk that is full, read-only or gone."""


class Fault(Exception):
    """A fault of the machine or of this program: one line, behind a traceback of another process.

    Attributes:
        trace: that traceback; empty where the line says all.
    """

    def __init__(self, line: str, trace: str = "") -> None:
        super().__init__(" ".join(line.split()))
        self.trace = trace


def nearest(name: str, valid: Iterable[str], otherwise: str = "") -> str:
    """``; did you mean 'x'?`` for the closest valid name, else the first of the valid names.

    ``otherwise`` is said in place of these, where there are too many to help.
    """
    valid = sorted(valid, key=lambda one: (one.count("."), one))
    begun = [one for one in valid if name and one.startswith(name)]
    if len(begun) > 1:
        return f"; did you mean one of {_listed(begun)}?"
    close = begun or difflib.get_close_matches(name[:200], valid, n=1, cutoff=0.5)
    if close:
        return f"; did you mean '{close[0]}'?"
    if otherwise:
        return f"; {otherwise}"
    return f"; valid: {_listed(valid)}" if valid else ""


def _listed(names: list[str]) -> str:
    more = f" … ({len(names)} in all)" if len(names) > _MOST_LISTED else ""
    return ", ".join(names[:_MOST_LISTED]) + more


def is_memory(error: BaseException) -> bool:
    """Whether memory ran out, in Python or, by its message, in Paddle."""
    said = ("ResourceExhausted", "bad_alloc", "Out of memory", "out of memory")
    return isinstance(error, MemoryError) or (
        isinstance(error, RuntimeError | SystemError | OSError)
        and any(words in str(error) for words in said)
    )


def _print_any_letter() -> None:
    """Write letters that the terminal's encoding lacks otherwise: LC_ALL=C has no ×."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


@contextlib.contextmanager
def one_line_errors() -> Iterator[None]:
    """Turn what ends a command into one line on standard error and one of ``EXIT_CODES``."""
    ending.take()
    _print_any_letter()
    try:
        yield
    except UserError as error:
        _end(f"error: {error}", 2)
    except Fault as fault:
        _end(f"{fault.trace}error: {fault}", 1)
    except ending.Stopped as stopped:
        _end(str(stopped), 128 + stopped.number)
    except KeyboardInterrupt:
        _end("stopped by Ctrl-C", 130)
    except BrokenPipeError:
        sys.exit(141)
    except Exception as error:
        if isinstance(error, OSError) and error.errno in _FULL:
            where = error.filename or "what this program prints"
            _end(f"error: {where}: cannot be written ({error.strerror}); make room there", 2)
        if not is_memory(error):
            raise
        _end("error: memory ran out; a smaller batch (--batch_size) or image needs less", 1)


def _end(line: str, code: int) -> None:
    ending.last_line(line)
    sys.exit(code)
