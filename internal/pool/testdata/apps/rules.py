"""Apps that show one rule of PEP 3333 each; the path names the app.

application serves them as they are, validated under wsgiref.validate.
"""

import os
import sys
import tempfile
import wsgiref.validate

CLOSED = os.environ["MILLRACE_TEST_CLOSED"]  # a file, shared by the app's processes: a name for each close()


def note(name):
    with open(CLOSED, "a") as f:
        f.write(name + "\n")


class Body:
    """An iterable that counts its close() calls under a name."""

    def __init__(self, name, chunks):
        self.name = name
        self.chunks = iter(chunks)

    def __iter__(self):
        return self

    def __next__(self):
        return next(self.chunks)

    def close(self):
        note(self.name)


def text(start_response, body, status="200 OK", headers=()):
    start_response(status, [("Content-Type", "text/plain; charset=latin-1"), *headers])
    return [body.encode("latin-1") if isinstance(body, str) else body]


def closed(environ, start_response):
    with open(CLOSED, "a+") as f:
        f.seek(0)
        names = f.read().split()
    return text(start_response, str(names.count(environ["QUERY_STRING"])))


def counted(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return Body(environ["QUERY_STRING"], [b"one ", b"", b"two"])


def counted_error(environ, start_response):
    def chunks():
        yield b"one "
        raise RuntimeError("in the second chunk")

    start_response("200 OK", [("Content-Type", "text/plain")])
    return Body(environ["QUERY_STRING"], chunks())


def endless(environ, start_response):
    def chunks():
        while True:
            yield b"x" * 65536

    start_response("200 OK", [("Content-Type", "text/plain")])
    return Body(environ["QUERY_STRING"], chunks())


def environ_value(environ, start_response):
    names = environ["QUERY_STRING"].split(",")
    return text(start_response, "\n".join(repr(environ.get(name)) for name in names))


def environ_types(environ, start_response):
    wrong = [name for name, value in environ.items() if not name.startswith("wsgi.") and type(value) is not str]
    return text(start_response, repr((type(environ) is dict, wrong)))


def inherited(environ, start_response):
    return text(start_response, repr([n for n in ("PATH", "HOME", "HTTP_PROXY") if n in environ]))


def read_all(environ, start_response):
    stream, parts = environ["wsgi.input"], []
    while True:
        part = stream.read(100000)
        if not part:
            break
        parts.append(part)
    again = stream.read(10)
    return text(start_response, b"".join(parts) + again, headers=[("X-Length", environ.get("CONTENT_LENGTH", "-"))])


def read_lines(environ, start_response):
    stream = environ["wsgi.input"]
    first = stream.read(3)
    line = stream.readline()
    short = stream.readline(2) if environ["QUERY_STRING"] != "validated" else stream.read(2)
    some = stream.readlines(4)
    rest = list(stream)
    return text(start_response, repr((first, line, short, some, rest)))


def not_read(environ, start_response):
    return text(start_response, "not read")


def writer(environ, start_response):
    write = start_response("200 OK", [("Content-Type", "text/plain")])
    write(b"written ")
    return [b"returned"]


def late_start(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    yield b""
    yield b"late"


def start_in_iteration(environ, start_response):
    def chunks():
        start_response("201 Created", [("Content-Type", "text/plain")])
        yield b"started in the first iteration"

    return chunks()


def replaced(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain"), ("X-First", "1")])
    try:
        raise RuntimeError("before the head left")
    except RuntimeError:
        start_response("500 Replaced", [("Content-Type", "text/plain")], sys.exc_info())
    return [b"replaced"]


def too_late(environ, start_response):
    write = start_response("200 OK", [("Content-Type", "text/plain")])
    write(b"sent ")
    try:
        raise RuntimeError("after the head left")
    except RuntimeError:
        start_response("500 Too Late", [("Content-Type", "text/plain")], sys.exc_info())
    return [b"never"]


def twice(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"never"]


def never_started(environ, start_response):
    return [b"never"]


def text_body(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return ["text, not bytes"]


def injected(environ, start_response):
    return text(start_response, "body", headers=[("X-Evil", "a\rSet-Cookie: b=c")])


def injected_lf(environ, start_response):
    return text(start_response, "body", headers=[("X-Evil", "a\nSet-Cookie\0b=c")])


def bad_status(environ, start_response):
    return text(start_response, "body", status="two hundred")


def hop_by_hop(environ, start_response):
    return text(start_response, "body", headers=[("Connection", "close"), ("Keep-Alive", "1"), ("X-Kept", "1")])


def large_head(environ, start_response):
    return text(start_response, "body", headers=[("X-Large", "x" * int(environ["QUERY_STRING"]))])


def no_content(environ, start_response):
    start_response("204 No Content", [])
    return []


def no_content_wrong(environ, start_response):
    start_response("204 No Content", [("Content-Length", "5")])
    return [b"wrong"]


def not_modified(environ, start_response):
    start_response("304 Not Modified", [("ETag", '"a"')])
    return []


def head(environ, start_response):
    return text(start_response, environ["REQUEST_METHOD"], headers=[("Content-Length", "12345")])


def latin1(environ, start_response):
    return text(start_response, "body", headers=[("X-Name", "caf\xe9")])


def one_chunk(environ, start_response):
    return text(start_response, "one chunk")


def many_chunks(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"one ", b"two ", b"three"]


def surplus(environ, start_response):
    return text(start_response, "0123456789", headers=[("Content-Length", "4")])


def surplus_streamed(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", "4")])
    yield b"01"
    yield b"2345"
    yield b"6789"


def short(environ, start_response):
    return text(start_response, "0123", headers=[("Content-Length", "10")])


def short_streamed(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", "10")])
    yield b"01"
    yield b"23"


def make_file(size):
    f = tempfile.TemporaryFile()
    f.write(b"0123456789" * (size // 10))
    f.seek(0)
    return f


def file(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return environ["wsgi.file_wrapper"](make_file(1000000))


def file_in_proc(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return environ["wsgi.file_wrapper"](open("/proc/self/comm", "rb"))


def endless_writes(environ, start_response):
    name = environ["QUERY_STRING"]
    write = start_response("200 OK", [("Content-Type", "text/plain")])
    try:
        while True:
            write(b"x" * 65536)
    finally:
        note(name)


def file_to_write(environ, start_response):
    """A file that is not open for reading."""
    start_response("200 OK", [("Content-Type", "text/plain")])
    return environ["wsgi.file_wrapper"](open(os.open(__file__, os.O_WRONLY), "wb", buffering=0))


def file_part(environ, start_response):
    f = make_file(1000)
    f.seek(5)
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", "7")])
    return environ["wsgi.file_wrapper"](f)


class Upper:
    """Looks like a file, and is not the bytes of its descriptor."""

    def __init__(self, f, name):
        self.f, self.name = f, name

    def read(self, size):
        return self.f.read(size).replace(b"0", b"A")

    def fileno(self):
        return self.f.fileno()

    def close(self):
        self.f.close()
        note(self.name)


def file_like(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return environ["wsgi.file_wrapper"](Upper(make_file(20), environ["QUERY_STRING"]), 7)


def raises(environ, start_response):
    raise RuntimeError("as asked")


def raises_exit(environ, start_response):
    sys.exit(3)


def errors(environ, start_response):
    environ["wsgi.errors"].write("written to wsgi.errors\n")
    environ["wsgi.errors"].writelines(["and ", "lines\n"])
    environ["wsgi.errors"].flush()
    return text(start_response, "ok")


def flags(environ, start_response):
    names = ("wsgi.multithread", "wsgi.multiprocess", "wsgi.run_once")
    return text(start_response, repr([environ[name] for name in names]))


def process(environ, start_response):
    import signal

    handlers = [signal.getsignal(n) == signal.SIG_DFL for n in (signal.SIGINT, signal.SIGCHLD, signal.SIGHUP)]
    state = (
        handlers,
        signal.getsignal(signal.SIGPIPE) == signal.SIG_IGN,
        signal.pthread_sigmask(signal.SIG_BLOCK, []) == set(),
        os.getpgid(0) == os.getpid(),
        os.read(0, 1),
    )
    return text(start_response, repr(state))


def application(environ, start_response):
    return globals()[environ["PATH_INFO"].split("/")[1]](environ, start_response)


validated = wsgiref.validate.validator(application)
