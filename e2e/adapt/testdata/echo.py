"""The back end of the tests: it answers with what it was asked.

    echo.py fcgi|scgi [ADDRESS]     ADDRESS is host:port or a path; fcgi without one
                                    has its listening socket as descriptor 0
    echo.py cgi                     one request, in the environment
    gunicorn echo:application       HTTP, and uwsgi by uWSGI

The answer is `echo`, then a line for each variable, then `body` and its bytes. What a
request says in its query changes that: see SPECIAL.
"""

import io
import os
import signal
import socket
import struct
import sys
import threading
from urllib.parse import parse_qs

NAME = os.environ.get("ECHO_NAME", "")
OWN = set(os.environ)  # the environment that the process was started with says nothing of a request
# Variables of the shell and the interpreter, not of CGI.
LOADER = ("LANG", "LC_CTYPE", "LC_ALL", "HOME", "TMPDIR", "TZ", "SHLVL", "PWD", "OLDPWD", "_")
SILENT = ("wsgi.", "uwsgi.", "gunicorn.", "mod_wsgi.")


def redirect(query):
    return "302 Found", [("Location", query["to"])], b""


def status(query):
    headers = [("X-Said", "so")]
    if query["code"][:3] in ("401",):
        headers.append(("WWW-Authenticate", 'Basic realm="echo"'))
    return query["code"] + " Said So", headers, b"status " + query["code"].encode() + b"\n"


def cookie(query):
    path = query.get("path", "/")
    return (
        "200 OK",
        [("Set-Cookie", "a=1; Path=%s; HttpOnly" % path), ("Set-Cookie", "b=2; Path=%s" % path)],
        b"cookies\n",
    )


def sendfile(query):
    return "200 OK", [(query.get("header", "X-Sendfile"), query["file"]), ("Content-Type", "text/x-sent")], b""


def headers(query):
    return (
        "200 OK",
        [
            ("Cache-Control", "private, max-age=7"),
            ("Content-Type", "text/html; charset=utf-8"),
            ("X-Powered-By", "echo"),
            ("Vary", "Cookie"),
        ],
        b"<p>headers</p>\n",
    )


def long(query):
    return (
        "200 OK",
        [("Content-Type", query.get("type", "text/html"))],
        b"a line of text that is there again and again\n" * 200,
    )


def etag(query):
    return (
        "200 OK",
        [("ETag", '"e1"'), ("Last-Modified", "Tue, 01 Sep 2020 10:00:00 GMT"), ("Content-Type", "text/plain")],
        b"tagged\n",
    )


SPECIAL = {f.__name__: f for f in (redirect, status, cookie, sendfile, headers, long, etag)}


def read(environ):
    stream, parts = environ["wsgi.input"], []
    left = int(environ.get("CONTENT_LENGTH") or 0)
    while left > 0:
        part = stream.read(min(left, 65536))
        if not part:
            break
        parts.append(part)
        left -= len(part)
    return b"".join(parts)


def application(environ, start_response):
    body = read(environ)
    query = {k: v[0] for k, v in parse_qs(environ.get("QUERY_STRING", "")).items()}
    special = SPECIAL.get(query.get("do"))
    if environ.get("FCGI_ROLE") == "AUTHORIZER" or environ.get("HTTP_X_ASKED"):
        if environ.get("HTTP_X_WORD") == "sesame":
            start_response("200 OK", [("Variable-REMOTE_USER", "ali"), ("Variable-CAVE", "open"), ("X-User", "ali")])
            return [b""]
        start_response("403 Forbidden", [("Content-Type", "text/plain")])
        return [b"the cave stays shut\n"]
    if special:
        line, headers_, text = special(query)
    else:
        lines = sorted(
            "%s=%s" % (k, v)
            for k, v in environ.items()
            if isinstance(v, str) and not k.startswith(SILENT) and k not in OWN
        )
        line, headers_ = "200 OK", [("X-Instance", NAME)]
        text = ("\n".join(["echo", *lines, "body", ""])).encode("latin-1", "backslashreplace") + body
    if not any(name == "Content-Type" for name, _ in headers_):
        headers_.append(("Content-Type", "text/plain"))
    start_response(line, [*headers_, ("Content-Length", str(len(text)))])
    return [text]


def scgi(stream):
    """One request of SCGI: a netstring of names and values, then the body."""
    length = b""
    while not length.endswith(b":"):
        length += stream.read(1)
    fields = stream.read(int(length[:-1])).split(b"\0")
    stream.read(1)
    environ = {k.decode("latin-1"): v.decode("latin-1") for k, v in zip(fields[::2], fields[1::2])}
    environ["wsgi.input"] = stream
    stream.write(answer(environ))
    stream.flush()


def pairs(data):
    """The names and values of a FCGI_PARAMS stream."""
    at = 0

    def length():
        nonlocal at
        n = data[at]
        at += 1
        if n & 0x80:
            n = int.from_bytes(bytes([n & 0x7F]) + data[at : at + 3], "big")
            at += 3
        return n

    while at < len(data):
        name, value = length(), length()
        yield data[at : at + name].decode("latin-1"), data[at + name : at + name + value].decode("latin-1")
        at += name + value


def fcgi(stream):
    """The requests of one connection of FastCGI, one at a time."""
    params = body = b""
    role = keep = None
    while True:
        head = stream.read(8)
        if len(head) < 8:
            return
        _, kind, number, length, padding = struct.unpack(">BBHHBx", head)
        content = stream.read(length)
        stream.read(padding)
        if kind == 1:  # FCGI_BEGIN_REQUEST
            role, keep = struct.unpack(">HB5x", content)
            params = body = b""
        elif kind == 4:  # FCGI_PARAMS
            params += content
        elif kind == 5:  # FCGI_STDIN
            body += content
        elif kind == 9:  # FCGI_GET_VALUES
            stream.write(struct.pack(">BBHHBx", 1, 10, 0, 0, 0))
            stream.flush()
            continue
        if role == 2 and kind == 4 and not length or kind == 5 and not length:
            environ = dict(pairs(params))
            environ.setdefault("FCGI_ROLE", {1: "RESPONDER", 2: "AUTHORIZER", 3: "FILTER"}[role])
            environ["wsgi.input"] = io.BytesIO(body)
            text = answer(environ)
            for at in range(0, len(text), 32768):
                part = text[at : at + 32768]
                stream.write(struct.pack(">BBHHBx", 1, 6, number, len(part), 0) + part)
            stream.write(
                struct.pack(">BBHHBx", 1, 6, number, 0, 0) + struct.pack(">BBHHBx", 1, 3, number, 8, 0) + bytes(8)
            )
            stream.flush()
            if not keep & 1:
                return
            role = 0


def answer(environ):
    """What the application says, as CGI has it."""
    head = []
    body = b"".join(application(environ, lambda status, headers: head.extend([("Status", status), *headers])))
    if environ.get("REQUEST_METHOD") == "HEAD":
        body = b""
    return ("".join("%s: %s\r\n" % h for h in head) + "\r\n").encode("latin-1") + body


def main(protocol, address=None):
    if protocol == "cgi":
        environ = {k: os.environb[os.fsencode(k)].decode("latin-1") for k in os.environ if k not in LOADER}
        OWN.clear()
        environ["wsgi.input"] = sys.stdin.buffer
        sys.stdout.buffer.write(answer(environ))
        return
    serve = {"scgi": scgi, "fcgi": fcgi}[protocol]
    if address is None:
        listener = socket.socket(fileno=os.dup(0))
    elif ":" in address:
        host, port = address.rsplit(":", 1)
        listener = socket.create_server((host, int(port)))
    else:
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(address)
        os.chmod(address, 0o666)
        listener.listen(64)
    while True:
        connection, _ = listener.accept()
        threading.Thread(target=talk, args=(serve, connection), daemon=True).start()


def talk(serve, connection):
    with connection, connection.makefile("rwb") as stream:
        try:
            serve(stream)
        except (OSError, EOFError):
            pass  # whoever asked is gone


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
    main(*sys.argv[1:])
