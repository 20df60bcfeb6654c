"""stdout and stderr of the app: lines that say which request they belong to.

Both are one pipe to the master, which splits it into lines.  A line written
through sys.stdout or sys.stderr begins with a mark that names the request that
the writing thread runs; what C code or a child process writes to the
descriptor has none, and the master knows only which requests run when it reads
it.

Where several threads answer requests, each has streams of its own behind the
same sys.stdout and sys.stderr: the pieces of two threads' lines never mix.
"""

from __future__ import annotations

import io
import os
import sys
import threading
from typing import Any, Iterable

MARK = b"\x1e%d-%d\x1f"  # channel and request, between a record and a unit separator; zeros for none
ATOMIC = 4096  # bytes that a pipe takes in one piece (PIPE_BUF of Linux)


class Here(threading.local):
    """What the running thread is."""

    channel: Any = None  # a channel.Channel.  Set on the class, it is that of every thread without one of its own.


here = Here()


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
        if text:
            self.put(text)
        return len(text)

    def put(self, text: bytes) -> None:
        marked = b"".join(tag(text))
        self.emit(marked[len(mark()) :] if self.inside else marked)
        self.inside = not text.endswith(b"\n")

    def emit(self, data: bytes) -> None:
        rest = memoryview(data)
        try:
            while rest:
                rest = rest[os.write(self.fd, rest) :]
        except OSError:
            pass  # nobody reads any more; an app must not fail for its log


class Whole(Tagged):
    """A Tagged that writes whole lines, so that other threads' lines never come between."""

    def __init__(self, fd: int) -> None:
        super().__init__(fd)
        self.rest = b""  # of a line whose end is still to come
        self.cut = False  # a line too long to wait for its end was ended

    def put(self, text: bytes) -> None:
        if self.cut and text.startswith(b"\n"):
            text = text[1:]
        text = self.rest + text
        end = text.rfind(b"\n") + 1 if len(text) < ATOMIC else len(text)
        self.cut = end == len(text) > 0 and not text.endswith(b"\n")
        text, self.rest = text[:end], text[end:]
        piece = b""
        for line in tag(text):
            if piece and len(piece) + len(line) > ATOMIC:
                self.emit(piece)
                piece = b""
            piece += line
        if piece:
            self.emit(piece + b"\n" if self.cut else piece)

    def close(self) -> None:
        rest, self.rest = self.rest, b""
        if rest:
            self.put(rest + b"\n")
        super().close()


def mark() -> bytes:
    channel = here.channel
    return MARK % ((channel.id, channel.seq) if channel is not None else (0, 0))


def tag(text: bytes) -> Iterable[bytes]:
    """The lines of a text, each with its mark; a carriage return is part of its line."""
    start = mark()
    *lines, last = text.split(b"\n")
    tagged = [start + line + b"\n" for line in lines]
    return [*tagged, start + last] if last else tagged


def stream(raw: Tagged) -> io.TextIOWrapper:
    return io.TextIOWrapper(raw, encoding="utf-8", errors="backslashreplace", line_buffering=True)  # type: ignore[arg-type]


class Streams(threading.local):
    """A stream for each thread that writes."""

    def __init__(self, fd: int) -> None:
        self.stream = stream(Whole(fd))


class PerThread:
    """sys.stdout or sys.stderr of a process whose threads answer requests: to each its own."""

    def __init__(self, fd: int) -> None:
        self.streams = Streams(fd)

    def write(self, text: str) -> int:
        return self.streams.stream.write(text)

    def flush(self) -> None:
        self.streams.stream.flush()

    def __getattr__(self, name: str) -> Any:
        return getattr(self.streams.stream, name)


def install(threads: bool) -> None:
    """Put tagged streams in the place of sys.stdout and sys.stderr."""
    sys.stdout.flush()
    sys.stderr.flush()
    for name, fd in (("stdout", 1), ("stderr", 2)):
        text = PerThread(fd) if threads else stream(Tagged(fd))
        setattr(sys, name, text)
        setattr(sys, "__%s__" % name, text)
