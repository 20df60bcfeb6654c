"""Every thread but the main one, and where it comes from.

threading knows those that its Thread class started; sys._current_frames() has
also those of _thread.start_new_thread; and /proc tells of those that C code
started, which no part of Python knows.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from types import CodeType, FrameType
from typing import Any, Dict, List, Optional

TASKS = "/proc/self/task"
PATIENCE = 0.2  # seconds for a thread that was joined to leave /proc: the kernel is a little behind
MACHINERY = ("threading", "concurrent", "multiprocessing", "asyncio")  # start threads for others


class Origins:
    """Notes which line starts which thread, from begin to end."""

    def __init__(self) -> None:
        self.lines: Dict[threading.Thread, str] = {}

    def begin(self) -> None:
        original = self.original = threading.Thread.start

        def start(thread: threading.Thread) -> None:
            if self.mine is not None:
                self.lines[thread] = caller(sys._getframe(1))
            original(thread)

        self.mine: Any = start
        threading.Thread.start = start  # type: ignore[assignment,method-assign]

    def end(self) -> None:
        if threading.Thread.start is self.mine:  # else somebody has wrapped it
            threading.Thread.start = self.original  # type: ignore[method-assign]
        self.mine = None

    def of(self, thread: threading.Thread) -> str:
        line = self.lines.get(thread)
        return ", started at " + line if line else ""


def caller(frame: Optional[FrameType]) -> str:
    """The line of the first frame that is not of the machinery of threads."""
    while frame is not None:
        if frame.f_globals.get("__name__", "").partition(".")[0] not in MACHINERY:
            return "%s:%d" % (frame.f_code.co_filename, frame.f_lineno)
        frame = frame.f_back
    return ""


def found(origins: Origins) -> List[str]:
    """Every thread but the main one, in words."""
    deadline = time.monotonic() + PATIENCE
    while True:
        main = threading.main_thread()
        known = [t for t in threading.enumerate() if t is not main]
        frames = sys._current_frames()
        named = {t.ident for t in known}
        raw = [frame for ident, frame in frames.items() if ident != main.ident and ident not in named]
        unknown = tasks_beside(known)
        if len(unknown) <= len(raw) or time.monotonic() > deadline:
            break
        time.sleep(0.005)
    words = ["thread %r%s%s" % (t.name, runs(t, frames), origins.of(t)) for t in known]
    words.extend("a thread that runs %s" % function(outermost(frame)) for frame in raw)
    if not raw:
        words.extend("a thread not started by Python, named %r" % name for name in unknown.values())
    elif len(unknown) > len(raw):  # which of them are Python's cannot be told
        words.append(
            "%d of the threads named %s, not started by Python"
            % (len(unknown) - len(raw), ", ".join(sorted(map(repr, set(unknown.values())))))
        )
    return words


def tasks_beside(known: List[threading.Thread]) -> Dict[int, str]:
    """The kernel's tasks that are neither the main thread nor of these, with their names."""
    names: Dict[int, str] = {}
    try:
        tasks = {int(name) for name in os.listdir(TASKS)}
    except OSError:
        return names
    tasks -= {os.getpid(), *(t.native_id for t in known if t.native_id is not None)}
    for task in tasks:
        try:
            with open("%s/%d/comm" % (TASKS, task), errors="backslashreplace") as f:
                names[task] = f.read().rstrip("\n")
        except OSError:
            pass  # it has ended
    return names


def runs(thread: threading.Thread, frames: Dict[int, FrameType]) -> str:
    """The function that a thread was started for; "" if that cannot be told."""
    frame = frames.get(thread.ident or 0)
    inner = outermost(frame)
    if inner is not None and inner.f_globals.get("__name__") != "threading":
        return ", which runs " + function(inner)
    code = getattr(getattr(thread, "_target", None), "__code__", None)
    if code is not None:  # it has hardly begun
        return ", which runs %s (%s:%d)" % (code.co_name, code.co_filename, code.co_firstlineno)
    return ""


def outermost(frame: Optional[FrameType]) -> Optional[FrameType]:
    """The first frame of a thread that is not threading's own."""
    best = frame
    while frame is not None:
        if frame.f_globals.get("__name__") != "threading":
            best = frame
        frame = frame.f_back
    return best


def function(frame: Optional[FrameType]) -> str:
    if frame is None:
        return "nothing that can be told"
    code: CodeType = frame.f_code
    return "%s (%s:%d)" % (getattr(code, "co_qualname", code.co_name), code.co_filename, frame.f_lineno)
