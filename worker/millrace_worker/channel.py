"""The loop of one channel: requests in, answers out, one at a time.

A channel belongs to one thread: the only one of a process that was forked for
it, or one of several (see host.py).  Channels share nothing but the app.

Requests come over a packet socket, one a packet; answers leave over a stream
socket.  internal/pool/frame.go is the other side and has the same layouts.

request packet   <Q seq, I bytes of environ, I flags> environ body
answer frame     <Q seq, I flags, I bytes of head, I bytes of body> head body

A request too large for a packet, or with its body in a file, or with the file
of a FastCGI filter, comes with flags set and without its parts: the worker asks
(ASK) and gets them over the stream socket, descriptors among them.  So a descriptor only ever travels to the
worker that runs the request, and the packets that it has not read can be
taken back and given to another at any time.
"""

from __future__ import annotations

import array
import io
import marshal
import mmap
import os
import socket
import struct
import sys
import threading
from typing import Any, Callable, Dict, Iterable, List, Tuple

from millrace_worker import wsgi

PACKET = 65536  # bytes of the largest packet; a buffer of 256 KiB costs 13 µs a call in the allocator
JOIN = 32768  # bytes of a body that is joined with its head into one buffer and one system call

# Flags of a request packet.
ENVIRON_BY_STREAM = 1
BODY_BY_STREAM = 2
BODY_BY_FILE = 4
PING = 8  # no request; to be marked as read
DATA = 16  # there is a file for environ["fcgi.data"]
ASKS = ENVIRON_BY_STREAM | BODY_BY_STREAM | BODY_BY_FILE | DATA  # what has to be asked for
TRACEBACK = 32  # if the app raises, the answer's body is the traceback

# Flags of an answer frame, beyond those of wsgi.py.
ASK = 16  # send what the packet did not hold
READY = 32  # the worker can be lent
BROKEN = 64  # the worker cannot start; the body says why

# Words of the page that both sides map, eight bytes each.
SLOT = 64  # bytes of one channel's part of the page
STARTED = 0  # the request that runs, or ran last
FINISHED = 1  # the request whose close() has returned
CANCELLED = 2  # written by the master: nobody waits for this request's answer any more
ENDED = 3  # written by the master before a SIGTERM: the request that it ends
THREAD = 4  # which thread answers the requests, as threading and faulthandler number them

REQUEST = struct.Struct("<QII")
ANSWER = struct.Struct("<QIII")
PARTS = struct.Struct("<III")  # of the reply to ASK: bytes of environ, bytes of body, which descriptors come
BODY_FILE = 1  # the body's
DATA_FILE = 2  # the data's, after it
PLACE = struct.Struct("<QQ")  # of a FILE answer: offset, bytes

Environ = Dict[str, Any]
App = Callable[[Environ, Any], Any]


def constants(software: str, threads: bool, processes: bool, once: bool) -> Environ:
    """What is the same in every environ of this process: whether it has other threads, and others like it."""
    return {
        "GATEWAY_INTERFACE": "CGI/1.1",
        "SERVER_SOFTWARE": software,
        "wsgi.version": (1, 0),
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": threads,
        "wsgi.multiprocess": processes,
        "wsgi.run_once": once,
        "wsgi.input_terminated": True,
        "wsgi.file_wrapper": wsgi.FileWrapper,
    }


class MasterGone(BaseException):
    """The master closed the channel, or the app closed its descriptors: this worker has nobody to work for.

    Not an Exception, so that an app's own "except Exception" around write() does not swallow it.
    """


class RequestEnded(BaseException):
    """The request has run too long: the master has answered it, and ends it and its worker.

    Not an Exception, so that only what cleans up sees it.
    """

    def __str__(self) -> str:
        return "the request ran longer than request_timeout"


class Channel:
    """The worker's end of a channel."""

    __slots__ = ("id", "requests", "answers", "page", "words", "seq", "name", "exchange")

    def __init__(self, number: int, requests: int, answers: int, page: mmap.mmap, slot: int) -> None:
        self.id = number  # the master's; with seq it names a request in the log
        self.requests = socket.socket(fileno=requests)
        self.answers = socket.socket(fileno=answers)
        self.requests.setblocking(True)
        self.answers.setblocking(True)
        self.page = page
        self.words = memoryview(page)[slot * SLOT : (slot + 1) * SLOT].cast("Q")
        self.seq = 0  # the request that runs, or ran last
        self.name = ""  # its id
        self.exchange = wsgi.Exchange(self.send, self.send_file, self.cancelled)

    def close(self) -> None:
        """Let go of both sockets."""
        self.requests.close()
        self.answers.close()

    def end(self) -> None:
        """Close the channel for good, also where a child of the app still holds it."""
        try:
            self.answers.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass  # the master, or the app, has closed it
        self.close()

    def cancelled(self) -> bool:
        return self.words[CANCELLED] == self.seq

    def marked(self) -> bool:
        """Whether the request that runs is to be ended; once true, it is not again."""
        words = self.words
        found = words[ENDED] == words[STARTED] > words[FINISHED]
        words[ENDED] = 0
        return found

    def send(self, flags: int, head: bytes, body: bytes) -> None:
        size = len(body)
        prefix = ANSWER.pack(self.seq, flags, len(head), size)
        try:
            if size <= JOIN:
                self.answers.sendall(prefix + head + body if head else prefix + body)
            else:
                self.answers.sendall(prefix + head)
                self.answers.sendall(body)
        except OSError as e:
            raise MasterGone("cannot send an answer: %s" % e) from e

    def send_file(self, head: bytes, fd: int, offset: int, size: int) -> None:
        place = PLACE.pack(offset, size)
        frame = ANSWER.pack(self.seq, wsgi.HEAD | wsgi.END | wsgi.FILE, len(head), len(place)) + head + place
        rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [fd]))]
        try:
            sent = self.answers.sendmsg([frame], rights)
            if sent < len(frame):
                self.answers.sendall(frame[sent:])
        except OSError as e:
            raise MasterGone("cannot send a file: %s" % e) from e

    def announce(self) -> None:
        """Say that the channel can be lent."""
        self.words[THREAD] = threading.get_ident()
        self.send(READY, b"", b"%d" % os.getpid())

    def refuse(self, reason: str) -> None:
        """Say that this worker cannot start."""
        self.send(BROKEN, b"", reason.encode("utf-8", "backslashreplace"))

    def receive(self, size: int) -> bytes:
        """Exactly size bytes of the stream; the buffer grows with what arrives."""
        parts = []
        while size:
            part = self.answers.recv(min(size, PACKET))
            if not part:
                raise MasterGone("the channel closed inside a request")
            parts.append(part)
            size -= len(part)
        return b"".join(parts)

    def ask(self, flags: int) -> Tuple[bytes, Any, Any]:
        """What the packet of a request did not hold: environ (if so), input, and a filter's data (or None)."""
        self.send(ASK, b"", b"")
        prefix, ancillary, _, _ = self.answers.recvmsg(
            PARTS.size, socket.CMSG_SPACE(2 * 4), getattr(socket, "MSG_CMSG_CLOEXEC", 0)
        )
        files = open_files(ancillary)
        if not prefix:
            raise MasterGone("the channel closed inside a request")
        if len(prefix) < PARTS.size:
            prefix += self.receive(PARTS.size - len(prefix))
        environ_size, body_size, come = PARTS.unpack(prefix)
        if len(files) != bool(come & BODY_FILE) + bool(come & DATA_FILE):
            raise MasterGone("the descriptors of a request's body did not arrive")
        environ = self.receive(environ_size)
        stream = files.pop(0) if come & BODY_FILE else io.BytesIO(self.receive(body_size))
        if not flags & DATA:
            return environ, stream, None
        return environ, stream, files[0] if files else io.BytesIO()

    def serve(self, app: App, fixed: Environ) -> None:
        """Run requests until the master closes the channel.

        The hot loop: locals for what is looked up each time, one marshal.loads
        and one dict.update for the environ (2 to 3 µs for 25 entries; parsing
        in Python took 10 to 14).
        """
        recv = self.requests.recv
        unpack, header = REQUEST.unpack_from, REQUEST.size
        loads, bytes_io = marshal.loads, io.BytesIO
        words, exchange = self.words, self.exchange
        start_response, finish = exchange.start_response, exchange.finish
        while True:
            packet = recv(PACKET)
            if not packet:
                return
            seq, size, flags = unpack(packet)
            words[STARTED] = self.seq = seq
            stream: Any
            if flags == PING:
                words[FINISHED] = seq
                continue
            if flags and flags & ASKS:
                blob, stream, data = self.ask(flags)
                environ = loads(packet[header:] if not flags & ENVIRON_BY_STREAM else blob)
            else:
                environ = loads(packet[header : header + size])
                stream = bytes_io(packet[header + size :])
            if type(environ) is not dict:
                raise ValueError("request %d: environ is no dict" % seq)
            self.name = environ.get("HTTP_X_REQUEST_ID", "")  # for output.py: 40 ns
            environ.update(fixed)
            environ["wsgi.input"] = stream
            if flags and flags & DATA:
                environ["fcgi.data"] = data
            exchange.status = None
            exchange.head_sent = exchange.ended = False
            result: Any = None
            try:
                result = exchange.watched(app, environ) if flags and flags & TRACEBACK else app(environ, start_response)
                kind = type(result)
                if kind is list or kind is tuple:
                    finish(result[0] if len(result) == 1 else b"".join(result))
                    result = None  # and there is no close()
                elif getattr(result, "streaming", None) is False:
                    # Django's own word that its response is whole: one frame,
                    # also where no middleware has set a Content-Length.
                    finish(b"".join(result))
                else:
                    exchange.body(result)
            except (MasterGone, RequestEnded):
                raise
            except wsgi.ClientLeft:
                pass
            except BaseException:  # SystemExit too: an app must not stop its worker in silence
                exchange.fail(environ, bool(flags & TRACEBACK))
            finally:
                if result is not None and hasattr(result, "close"):
                    try:
                        result.close()
                    except (MasterGone, RequestEnded):
                        raise
                    except BaseException:
                        exchange.fail(environ, bool(flags & TRACEBACK))
            if not exchange.ended:  # cut short because the client is gone
                self.send(wsgi.END, b"", b"")
            if flags and flags & ASKS:
                stream.close()
                if data is not None:
                    data.close()
                    data = None
            environ = result = stream = None  # nothing of a request stays while the worker is idle
            words[FINISHED] = seq


def open_files(ancillary: Iterable[Tuple[int, int, bytes]]) -> List[Any]:
    """The descriptors of a control message, as files to read."""
    found = array.array("i")
    for level, kind, payload in ancillary:
        if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
            found.frombytes(payload[: len(payload) - len(payload) % found.itemsize])
    for fd in found:
        os.set_inheritable(fd, False)
    return [open(fd, "rb") for fd in found]
