"""Signals that end a run: at once, or at the next point where a state can be saved.

SIGINT (Ctrl-C), SIGTERM (schedulers, ``docker stop``) and SIGHUP (a lost terminal) raise
``Stopped`` where they arrive, so that what is being written is cleared away. Inside ``politely``
they only ask; the loop looks at ``asked`` between steps and batches. Exit codes are 128 + signal.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any, TextIO

SIGNALS = [
    getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)
]


class Stopped(KeyboardInterrupt):
    """A signal ended the run.

    Attributes:
        number: of the signal.
        line: what it left and how to go on; empty where there is nothing to say.
    """

    def __init__(self, number: int, line: str = "") -> None:
        super().__init__(number)
        self.number, self.line = number, line

    def __str__(self) -> str:
        name = signal.Signals(self.number).name
        return f"stopped by {'Ctrl-C' if name == 'SIGINT' else name}{self.line and '; '}{self.line}"


_asked = 0
_interrupts = 0
_polite = 0
_holding = 0
_late: list[int] = []
_owner = 0


def asked() -> int:
    """The signal that asked this process to stop; 0 for none."""
    return _asked


def at_once() -> bool:
    """Whether a second Ctrl-C asked: then nothing more is saved."""
    return _interrupts > 1


def take() -> None:
    """Answer the signals in this process.

    A signal that whoever started the program chose to ignore (``nohup``) stays ignored.
    """
    global _owner
    if threading.current_thread() is not threading.main_thread():
        return
    _owner = os.getpid()
    for number in SIGNALS:
        if signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, _answer)


def take_again() -> None:
    """Answer them again, if this process does, where another library may have taken some."""
    if taken():
        take()


def taken() -> bool:
    """Whether this process, not one that it was forked from, answers the signals."""
    return _owner == os.getpid()


def _answer(number: int, frame: FrameType | None) -> None:
    global _asked, _interrupts
    if not taken():
        os._exit(128 + number)
    if _holding:
        _late.append(number)
        return
    _asked = _asked or number
    _interrupts += number == signal.SIGINT
    if _polite and _interrupts < 2:
        if number == signal.SIGINT:
            _say("=> stopping as soon as what goes on is saved; Ctrl-C again stops at once")
        return
    if _interrupts > 2 or _is_importing(frame):
        # An exception inside an import comes out as an ImportError of a broken package.
        _say(str(Stopped(number)))
        os._exit(128 + number)
    raise Stopped(number)


def _is_importing(frame: FrameType | None) -> bool:
    while frame is not None:
        if frame.f_code.co_filename.startswith("<frozen importlib"):
            return True
        frame = frame.f_back
    return False


def _say(line: str) -> None:
    with contextlib.suppress(OSError):
        os.write(2, f"\n{line}\n".encode())  # print() may be what the signal interrupted


@contextlib.contextmanager
def politely() -> Iterator[None]:
    """Signals ask (see ``asked``); a second Ctrl-C raises ``Stopped`` all the same.

    Takes the signals for as long, where nobody has: a program of somebody's own.
    """
    global _polite, _asked, _interrupts
    before = {number: signal.getsignal(number) for number in SIGNALS}
    own = not taken() and threading.current_thread() is threading.main_thread()
    if own:
        take()
    _polite += 1
    try:
        yield
    finally:
        _polite -= 1
        if own:
            _asked = _interrupts = 0
            for number, handler in before.items():
                signal.signal(number, handler)
            _disown()


def _disown() -> None:
    global _owner
    _owner = 0


@contextlib.contextmanager
def held() -> Iterator[None]:
    """Signals wait until the end: for a fork, and for imports that put in handlers of their own.

    The mask is what a new process inherits. It does not hold them off this one: a library's
    thread that does not block them may get them, and Python answers in the main thread.
    """
    global _holding
    _holding += 1
    try:
        with _masked():
            yield
    finally:
        _holding -= 1
        while _late and not _holding:
            signal.raise_signal(_late.pop(0))


@contextlib.contextmanager
def _masked() -> Iterator[None]:
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


_behind: TextIO | None = None


def tell_behind(parent: int) -> None:
    """Keep a launcher's standard error, for the last line: it may pass on no more of the log."""
    global _behind
    with contextlib.suppress(OSError):
        _behind = open(f"/proc/{parent}/fd/2", "a", encoding="utf-8")  # noqa: SIM115


def last_line(line: str) -> None:
    """On standard error, and on that of the launcher."""
    with contextlib.suppress(OSError):  # a full disk may be what the line is about
        print(line, file=sys.stderr, flush=True)
    if _behind is not None:
        with contextlib.suppress(OSError):
            print(line, file=_behind, flush=True)


_on_abort: Any = None


def before_abort(work: Callable[[], None]) -> None:
    """Do something before abort() ends this process: a library's C++ gave up, Python may go on."""
    global _on_abort
    _on_abort = ctypes.CFUNCTYPE(None, ctypes.c_int)(lambda number: work())
    with contextlib.suppress(AttributeError):
        ctypes.CDLL(None).signal(int(signal.SIGABRT), _on_abort)


_SET_PARENT_DEATH_SIGNAL = 1
"""PR_SET_PDEATHSIG of prctl(2)."""


def with_parent(number: int) -> None:
    """Get this signal when the thread that started this process ends, however that ends (Linux)."""
    with contextlib.suppress(AttributeError):
        ctypes.CDLL(None).prctl(_SET_PARENT_DEATH_SIGNAL, number)


def ignore(*, but: int = 0) -> None:
    """For a process that serves this one and ends with it: signals are its parent's business."""
    for number in SIGNALS:
        signal.signal(number, signal.SIG_DFL if number == but else signal.SIG_IGN)
    if hasattr(signal, "pthread_sigmask"):
        signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)
