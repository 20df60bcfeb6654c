"""The end of a worker that shares its memory with others.

The interpreter's own end takes every object apart, and so writes to all that
a forked worker shares with its siblings: for a Django worker 15 MB that are
the worker's own for its last moment, and 40 ms.  So it ends without that.
What an app can rely on stays: threads that are no daemons are waited for,
exit handlers run, and what files hold unwritten is written.
"""

from __future__ import annotations

import atexit
import gc
import io
import os
import sys
import threading
import weakref
from typing import Any, Iterable, List

opened: List[Any] = []  # weak references to the files that were open before the fork


def remember() -> None:
    """Note the files of the import: a frozen object is found no more."""
    for one in gc.get_objects():
        if is_file(one):
            opened.append(weakref.ref(one))


def is_file(one: Any) -> bool:
    # type() and not isinstance(): an app's objects may lie about their class, at a price.
    return issubclass(type(one), (io.BufferedWriter, io.BufferedRandom, io.TextIOWrapper))


def leave(status: int) -> None:
    """End the process like sys.exit does, but for taking its objects apart."""
    try:
        for end in (threading._shutdown, atexit._run_exitfuncs):  # type: ignore[attr-defined]
            try:
                end()
            except BaseException:  # of an exit handler: it has been printed
                pass
        flush(gc.get_objects())
        flush(reference() for reference in opened)
        flush([sys.stdout, sys.stderr])
    finally:
        os._exit(status)


def flush(files: Iterable[Any]) -> None:
    for one in files:
        if one is None or not (is_file(one) or one is sys.stdout or one is sys.stderr):
            continue
        try:
            one.flush()
        except BaseException:  # closed, or its disk is full: nobody is left to be told
            pass
