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

# The numbers of a channel and of its request, then the request's id, between a
# record and a unit separator.
END_OF_MARK = b"\x1f"
MARK = b"\x1e%d-%d %s\x1f"
NO_MARK = b"\x1e0-0\x1f"  # of no request
FINISHED = 1  # the word of a channel that holds the number of the request that ended last; see channel.py
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
            for part in parts(line):
                if piece and len(piece) + len(part) > ATOMIC:
                    self.emit(piece)
                    piece = b""
                piece += part
        if piece:
            self.emit(piece + b"\n" if self.cut else piece)

    def close(self) -> None:
        rest, self.rest = self.rest, b""
        if rest:
            self.put(rest + b"\n")
        super().close()


def mark() -> bytes:
    channel = here.channel
    if channel is None or channel.words[FINISHED] == channel.seq:  # what an app's thread prints between two requests
        return NO_MARK
    return MARK % (channel.id, channel.seq, channel.name.encode("latin-1", "replace"))


def tag(text: bytes) -> Iterable[bytes]:
    """The lines of a text, each with its mark; a carriage return is part of its line."""
    start = mark()
    *lines, last = text.split(b"\n")
    tagged = [start + line + b"\n" for line in lines]
    return [*tagged, start + last] if last else tagged


def parts(line: bytes) -> Iterable[bytes]:
    """A line with its mark; one that a pipe does not take in one piece, as several."""
    if len(line) <= ATOMIC:
        return [line]
    ended = line.endswith(b"\n")
    start, _, text = (line[:-1] if ended else line).partition(END_OF_MARK)
    start += END_OF_MARK
    size = ATOMIC - len(start) - 1
    cut = [start + text[i : i + size] + b"\n" for i in range(0, len(text), size)]
    if not ended:
        cut[-1] = cut[-1][:-1]
    return cut


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
