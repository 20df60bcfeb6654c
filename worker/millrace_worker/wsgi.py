"""The rules of PEP 3333 for one request at a time.

Exchange is the server's side of one call of the app: start_response, write,
and what becomes of the iterable.  It gives frames to a Sink (see channel.py)
and knows nothing of sockets.

What the front checks, this file does not: the status line, names and values
of headers, and whether the body is as long as Content-Length says.
"""

from __future__ import annotations

import io
import os
import stat
import sys
import traceback
from typing import Any, Callable, Iterable, Iterator, List, Optional, Tuple

# Flags of an answer frame; internal/pool/frame.go has the same.
HEAD = 1  # the frame begins with the response's head
END = 2  # the response is complete
FILE = 4  # the body is a file: a descriptor comes with the frame
FAIL = 8  # with END: the response broke off; with HEAD and END: an error page of ours

MAX_HEAD = 48 * 1024  # bytes of status and headers; the front takes no more

Headers = List[Tuple[str, str]]
SendFrame = Callable[[int, bytes, bytes], None]
SendFile = Callable[[bytes, int, int, int], None]
ExcInfo = Any


class FileWrapper:
    """environ["wsgi.file_wrapper"]: hands a real file to the front whole; anything else it reads in blocks."""

    __slots__ = ("filelike", "block_size", "close")

    def __init__(self, filelike: Any, block_size: int = 65536) -> None:
        self.filelike = filelike
        self.block_size = block_size
        if hasattr(filelike, "close"):
            self.close = filelike.close

    def __iter__(self) -> Iterator[bytes]:
        read, size = self.filelike.read, self.block_size
        while True:
            block = read(size)
            if not block:
                return
            yield block

    def descriptor(self) -> Optional[Tuple[int, int, int]]:
        """Descriptor, offset and bytes left of a regular file; None if only reading it gives its bytes.

        A class is trusted to be the plain bytes of its descriptor by its type
        alone: gzip.GzipFile has a fileno() too, of the compressed file.
        """
        raw = self.filelike
        for _ in range(4):  # tempfile's and Django's wrappers keep the real file in .file
            if isinstance(raw, (io.BufferedReader, io.BufferedRandom, io.FileIO)):
                break
            module = type(raw).__module__
            if module != "tempfile" and not module.startswith("django.core.files"):
                return None
            raw = getattr(raw, "file", None)
        else:
            return None
        inner = getattr(raw, "raw", raw)
        if not isinstance(inner, io.FileIO):
            return None
        try:
            fd = raw.fileno()
            info = os.fstat(fd)
            offset = raw.tell()
            if not inner.readable():
                return None  # the app shall have its exception; the front would take us for hostile
        except (OSError, ValueError):
            return None
        if not stat.S_ISREG(info.st_mode) or info.st_size <= offset:
            return None  # nothing left, or one of those files, as in /proc, whose size is 0
        return fd, offset, info.st_size - offset


def encode_head(status: str, headers: Headers) -> bytes:
    """The head of an answer: the status line, then a line for each header, name and value parted by a NUL.

    A line feed inside a name or value would begin a header of its own, so it
    is refused here; what else is wrong the front sees.
    """
    lines = [status]
    for name, value in headers:  # a comprehension took 0.2 µs more for two headers
        lines.append(name + "\0" + value)
    text = "\n".join(lines)
    if text.count("\n") != len(headers):
        raise ValueError("a line feed in the status or in a header: %r" % (text,))
    if len(text) > MAX_HEAD:
        raise ValueError("the response's headers take %d bytes; at most %d are sent" % (len(text), MAX_HEAD))
    return text.encode("latin-1")


def content_length(headers: Headers) -> Optional[int]:
    """The declared length of the body, None without one (or with one that is no number)."""
    for name, value in headers:
        if len(name) == 14 and name.lower() == "content-length":
            return int(value) if value.isdigit() else None
    return None


MAX_TRACEBACK = 32 * 1024  # bytes of one that a client is shown: its end, which says most
ERROR_HEAD = encode_head("500 Internal Server Error", [("Content-Type", "text/plain; charset=utf-8")])


def report(method: Any, uri: Any) -> str:
    """Log the exception being handled, and return its traceback."""
    text = traceback.format_exc()
    words = "exception in %s %s\n%s" % (method, uri, text)
    try:
        sys.stderr.write(words)
    except Exception:  # the app has closed it, or put something else in its place
        try:
            os.write(2, words.encode("utf-8", "backslashreplace"))
        except OSError:
            pass  # nobody reads any more
    return text


def page(text: str) -> bytes:
    """A traceback for the client's page."""
    return text.encode("utf-8", "backslashreplace")[-MAX_TRACEBACK:]


class ClientLeft(OSError):
    """write() raises this in an app whose client has gone: there is nobody to write for."""


class Exchange:
    """The answers of one channel, one request after the other.

    Before each, the channel sets status to None, and head_sent and ended to
    False; headers are those that came with the status.
    """

    __slots__ = ("send", "send_file", "cancelled", "status", "headers", "head_sent", "ended", "heard")

    def __init__(self, send: SendFrame, send_file: SendFile, cancelled: Callable[[], bool]) -> None:
        self.send = send
        self.send_file = send_file
        self.cancelled = cancelled
        self.status: Optional[str] = None
        self.headers: Headers = []
        self.head_sent = False
        self.ended = False
        self.heard: Optional[str] = None  # in a watched call: the traceback of an exception that the app answers itself

    def start_response(
        self, status: str, headers: Headers, exc_info: Optional[ExcInfo] = None
    ) -> Callable[[bytes], None]:
        """PEP 3333's start_response."""
        if exc_info:
            try:
                if self.head_sent:
                    raise exc_info[1].with_traceback(exc_info[2])
            finally:
                exc_info = None  # no cycle through the frame
        elif self.status is not None:
            raise AssertionError("start_response called a second time without exc_info")
        self.status = status
        self.headers = headers
        return self.write

    def write(self, data: bytes) -> None:
        """PEP 3333's write: the chunk leaves at once."""
        if not isinstance(data, bytes):
            raise TypeError("write() takes bytes, not %s" % type(data).__name__)
        if data and not self.ended:
            self.chunk(data)
            if self.cancelled():
                raise ClientLeft("the client has left")

    def head(self) -> bytes:
        if self.status is None:
            raise AssertionError("the app did not call start_response before its first byte")
        return encode_head(self.status, self.headers)

    def chunk(self, data: bytes) -> None:
        """Send one piece of a body of which more may come."""
        if self.head_sent:
            self.send(0, b"", data)
            return
        head = self.head()
        length = content_length(self.headers)
        self.head_sent = True
        if length is not None and len(data) >= length:
            self.ended = True
            self.send(HEAD | END, head, data)
        else:
            self.send(HEAD, head, data)

    def body(self, result: Iterable[bytes]) -> None:
        """Send what the app returned, but for a list or tuple (those are whole: see finish)."""
        if type(result) is FileWrapper and not self.head_sent:
            place = result.descriptor()
            if place is not None:
                head = self.head()
                self.head_sent = self.ended = True
                self.send_file(head, *place)
                return
        send, cancelled = self.send, self.cancelled
        for data in result:
            if not data:
                continue
            if type(data) is not bytes and not isinstance(data, bytes):
                raise TypeError("the app's iterable must yield bytes, not %s" % type(data).__name__)
            if self.ended:
                sys.stderr.write("response longer than its Content-Length: the rest is cut\n")
                return
            if self.head_sent:
                send(0, b"", data)  # as chunk does: a call less for each piece
            else:
                self.chunk(data)
            if cancelled():
                return  # the client is gone; close() follows
        if not self.ended:
            self.finish(b"")

    def finish(self, data: bytes) -> None:
        """Send the last piece: of most responses the only one."""
        if not isinstance(data, bytes):
            raise TypeError("the app's iterable must yield bytes, not %s" % type(data).__name__)
        if not self.head_sent:
            head = self.head()
            self.head_sent = self.ended = True
            self.send(HEAD | END, head, data)
        elif not self.ended:
            self.ended = True
            self.send(END, b"", data)
        elif data:
            sys.stderr.write("response longer than its Content-Length: the rest is cut\n")

    def fail(self, environ: Any, shown: bool) -> None:
        """Report the exception being handled, and end the answer as far as that is still possible.

        The front makes the client's page; shown says that it wants the traceback for it.
        """
        text = report(environ.get("REQUEST_METHOD"), environ.get("REQUEST_URI"))
        if self.ended:
            return
        self.ended = True
        if self.head_sent:
            self.send(END | FAIL, b"", b"")
        else:
            self.head_sent = True
            self.send(HEAD | END | FAIL, ERROR_HEAD, page(text) if shown else b"")

    def watched(self, app: Callable[[Any, Any], Any], environ: Any) -> Any:
        """Call the app for a client that may see tracebacks: also that of an exception that its framework swallows."""
        self.heard = ""
        try:
            result = app(environ, self.start_response)
        finally:
            text, self.heard = self.heard, None
        if not text or self.head_sent or not str(self.status).startswith("500"):
            return result
        self.head_sent = self.ended = True
        self.send(HEAD | END | FAIL, ERROR_HEAD, page(text))
        if hasattr(result, "close"):
            result.close()
        return ()
