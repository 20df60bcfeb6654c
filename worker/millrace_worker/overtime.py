"""What a worker does about a request that takes too long, on the master's word.

A traceback of every thread goes to a pipe that the master reads, and there are
two ways to it.  The master asks the interpreter first: a Python handler of a
signal writes what sys._current_frames() tells.  It runs between two
instructions of the main thread, so it sees frames that are whole; but not while
C code holds the interpreter's lock, or keeps the main thread.

When no answer comes, it asks faulthandler, in C and without the lock.  In a
process whose main thread runs Python that is not safe: where the signal meets
the call of a generator or a constructor, CPython 3.11, 3.12 before 3.12.8 and
3.13.0 follow a null pointer (github.com/python/cpython/issues/123967).  Both
handlers are set in the host, before the fork, for a descriptor that each worker
replaces by its pipe.

Where faulthandler cannot show running threads (free-threaded builds), a thread
of ours waits for the same signals and answers both.

The master ends a request by its number in the channel's words and a SIGTERM:
see Child.end_request in host.py.
"""

from __future__ import annotations

import faulthandler
import os
import signal
import sys
import threading
from typing import Any, Iterator, Type

# The last real-time signals are nobody's habit; systems without any have the
# one that asks for a status, and one that Python ignores.
if hasattr(signal, "SIGRTMAX"):
    FAULTHANDLER = int(signal.SIGRTMAX) - 3
    INTERPRETER = int(signal.SIGRTMAX) - 4
else:
    FAULTHANDLER = int(getattr(signal, "SIGINFO", signal.SIGXCPU))
    INTERPRETER = int(signal.SIGXFSZ)

MAX_THREADS = 100  # the same bounds as faulthandler's
MAX_FRAMES = 100


def prepare() -> int:
    """Set the handlers; returns the descriptor that tracebacks are written to, the null device for now."""
    null = os.open(os.devnull, os.O_WRONLY)
    signal.signal(INTERPRETER, lambda number, frame: write(null, tracebacks(frame)))
    signal.siginterrupt(INTERPRETER, False)  # the app's system calls go on
    if hasattr(faulthandler, "register"):
        faulthandler.register(FAULTHANDLER, file=null, all_threads=True, chain=False)
    else:
        signal.signal(FAULTHANDLER, signal.SIG_IGN)
    return null


def watch(fd: int) -> None:
    """Have a thread write the tracebacks, in a process where faulthandler cannot."""
    signal.pthread_sigmask(signal.SIG_BLOCK, [INTERPRETER, FAULTHANDLER])  # for this thread and all that it starts
    threading.Thread(target=wait_and_write, args=(fd,), name="millrace-traceback", daemon=True).start()


def wait_and_write(fd: int) -> None:
    while True:
        signal.sigwait([INTERPRETER, FAULTHANDLER])
        write(fd, tracebacks(None))


def write(fd: int, parts: Iterator[str]) -> None:
    text = "\n".join(parts).encode("utf-8", "backslashreplace")
    try:
        while text:
            text = text[os.write(fd, text) :]
    except OSError:
        pass  # the app has closed it, or the master is gone


def tracebacks(interrupted: Any) -> Iterator[str]:
    """A traceback for each thread, as faulthandler writes them: the main thread is last.

    interrupted is the main thread's frame that a signal met; None: this is a
    thread of ours, which is not shown.
    """
    main = threading.main_thread().ident
    frames = dict(sys._current_frames())
    del frames[threading.get_ident()]
    if interrupted is not None and main is not None:
        frames[main] = interrupted
    for ident in sorted(frames, key=lambda k: k == main)[-MAX_THREADS:]:
        lines = ["Thread 0x%016x (most recent call first):\n" % ident]
        frame: Any = frames[ident]
        while frame is not None and len(lines) <= MAX_FRAMES:
            code = frame.f_code
            lines.append('  File "%s", line %s in %s\n' % (code.co_filename, frame.f_lineno, code.co_name))
            frame = frame.f_back
        if frame is not None:
            lines.append("  ...\n")
        yield "".join(lines)


def raise_in(ident: int, exception: Type[BaseException]) -> None:
    """Raise an exception in another thread, at its next step in Python."""
    try:
        import ctypes

        ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(ident), ctypes.py_object(exception))
    except (ImportError, AttributeError):
        pass  # an interpreter without it: the thread ends with its process
