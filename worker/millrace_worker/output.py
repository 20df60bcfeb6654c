"""stdout and stderr of the app: lines that say which request they belong to.

Both are one pipe to the master, which splits it into lines.  A line written
through sys.stdout or sys.stderr begins with a mark that names the request
that runs; what C code or a child process writes to the descriptor has none,
and the master knows only which request runs when it reads it.
"""

from __future__ import annotations

import io
import os
import sys
from typing import Any

MARK = b"\x1e%d\x1f"  # the number of the request, between a record and a unit separator

current = 0  # the request that runs, or ran last; set by channel.py


class Tagged(io.RawIOBase):
    """A descriptor that puts the mark before each line."""

    def __init__(self, fd: int) -> None:
        super().__init__()
        self.fd = fd
        self.inside = False  # a line without its end was written last

    def fileno(self) -> int:
        return self.fd

    def writable(self) -> bool:
        return True

    def isatty(self) -> bool:
        return False

    def write(self, data: Any) -> int:
        text = bytes(data)
        if not text:
            return 0
        mark = MARK % current
        lines = text.splitlines(keepends=True) if b"\r" not in text else text.split(b"\n")
        if b"\r" in text:  # a carriage return is part of its line
            lines = [line + b"\n" for line in lines[:-1]] + ([lines[-1]] if lines[-1] else [])
        marked = b"".join([mark + line for line in lines[1:]])
        first = lines[0] if self.inside else mark + lines[0]
        self.inside = not text.endswith(b"\n")
        rest = memoryview(first + marked)
        try:
            while rest:
                rest = rest[os.write(self.fd, rest) :]
        except OSError:
            pass  # nobody reads any more; an app must not fail for its log
        return len(text)


def install() -> None:
    """Put tagged streams in the place of sys.stdout and sys.stderr."""
    sys.stdout.flush()
    sys.stderr.flush()
    sys.stdout = io.TextIOWrapper(Tagged(1), encoding="utf-8", errors="backslashreplace", line_buffering=True)
    sys.stderr = io.TextIOWrapper(Tagged(2), encoding="utf-8", errors="backslashreplace", line_buffering=True)
    sys.__stdout__, sys.__stderr__ = sys.stdout, sys.stderr  # type: ignore[misc]
