"""What a worker does about a request that takes too long, on the master's word.

A traceback of every thread goes to a pipe that the master reads.  It comes
from faulthandler, in C and without the interpreter's lock, so that it comes
also out of a C call that holds it; the signal's handler is registered in the
host, before the fork, for a descriptor that each worker replaces by its pipe.

Where faulthandler cannot show running threads (free-threaded builds), a thread
of ours waits for the same signal and writes what sys._current_frames() tells.

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
# one that asks for a status.
SIGNAL = int(signal.SIGRTMAX) - 3 if hasattr(signal, "SIGRTMAX") else int(getattr(signal, "SIGINFO", signal.SIGXFSZ))

MAX_THREADS = 100  # the same bounds as faulthandler's
MAX_FRAMES = 100


def prepare() -> int:
    """Register the signal; returns the descriptor that tracebacks are written to, the null device for now."""
    null = os.open(os.devnull, os.O_WRONLY)
    if hasattr(faulthandler, "register"):
        faulthandler.register(SIGNAL, file=null, all_threads=True, chain=False)
    else:
        signal.signal(SIGNAL, signal.SIG_IGN)
    return null


def watch(fd: int) -> None:
    """Have a thread write the tracebacks, in a process where faulthandler cannot."""
    signal.pthread_sigmask(signal.SIG_BLOCK, [SIGNAL])  # for this thread and all that it starts
    threading.Thread(target=wait_and_write, args=(fd,), name="millrace-traceback", daemon=True).start()


def wait_and_write(fd: int) -> None:
    while True:
        signal.sigwait([SIGNAL])
        text = "\n".join(tracebacks()).encode("utf-8", "backslashreplace")
        try:
            while text:
                text = text[os.write(fd, text) :]
        except OSError:
            return  # the app has closed it, or the master is gone


def tracebacks() -> Iterator[str]:
    """A traceback for each thread but this one, as faulthandler writes them: the main thread is last."""
    main = threading.main_thread().ident
    frames = {k: v for k, v in sys._current_frames().items() if k != threading.get_ident()}
    for ident in sorted(frames, key=lambda k: k == main)[-MAX_THREADS:]:
        lines = ["Thread 0x%016x (most recent call first):\n" % ident]
        frame: Any = frames[ident]
        while frame is not None and len(lines) <= MAX_FRAMES:
            code = frame.f_code
            lines.append('  File "%s", line %s in %s\n' % (code.co_filename, frame.f_lineno, code.co_name))
            frame = frame.f_back
        yield "".join(lines)


def raise_in(ident: int, exception: Type[BaseException]) -> None:
    """Raise an exception in another thread, at its next step in Python."""
    try:
        import ctypes

        ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(ident), ctypes.py_object(exception))
    except (ImportError, AttributeError):
        pass  # an interpreter without it: the thread ends with its process
