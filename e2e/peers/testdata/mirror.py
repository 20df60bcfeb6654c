"""What the tests of other servers ask for: the path and the query stay theirs.

Without `do` in the query the answer is the request: its environ, and length
and digest of its body.
"""

import hashlib
import json
import os
from urllib.parse import parse_qs


def pattern(size):
    """Yield size bytes that are not alike."""
    line = b"".join(b"%07d\n" % n for n in range(8192))
    while size > 0:
        yield line[:size]
        size -= len(line)


class Endless:
    """Chunks without an end; close() leaves a file."""

    def __init__(self, path):
        self.path = path

    def __iter__(self):
        while True:
            yield b"x" * 65536

    def close(self):
        with open(self.path, "w") as f:
            f.write("closed")


def stream(gate):
    yield b"one\n"
    with open(gate) as f:  # a FIFO: waits for the test
        yield f.read().encode()


def application(environ, start_response):
    query = {k: v[0] for k, v in parse_qs(environ.get("QUERY_STRING", "")).items()}
    do = query.get("do")
    if do == "status":
        code = query["code"]
        headers = [("X-Seen", environ["REQUEST_METHOD"])]
        if code not in ("204", "304"):
            headers.append(("Content-Type", "text/plain"))
        start_response(code + " Said So", headers)
        return [] if code in ("204", "304") else [b"status\n"]
    if do == "redirect":
        start_response("302 Found", [("Location", query["to"]), ("Content-Type", "text/plain")])
        return [b"elsewhere\n"]
    if do == "big":
        size = int(query["size"])
        headers = [("Content-Type", "application/octet-stream")]
        if "length" in query:
            headers.append(("Content-Length", str(size)))
        start_response("200 OK", headers)
        return pattern(size)
    if do == "headers":
        start_response("200 OK", [("Content-Type", "text/plain")] + [("X-H%d" % n, "v%d" % n) for n in range(100)])
        return [b"headers\n"]
    if do == "stream":
        start_response("200 OK", [("Content-Type", "text/event-stream"), ("X-Accel-Buffering", "no")])
        return stream(query["gate"])
    if do == "endless":
        start_response("200 OK", [("Content-Type", "application/octet-stream")])
        return Endless(query["file"])
    if do == "pid":
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [b"%d" % os.getpid()]
    body = hashlib.sha256()
    length = 0
    left = 1 << 40 if environ.get("wsgi.input_terminated") else int(environ.get("CONTENT_LENGTH") or 0)
    while True:
        part = environ["wsgi.input"].read(min(65536, left - length))
        if not part:
            break
        body.update(part)
        length += len(part)
    if environ.get("FCGI_ROLE") == "AUTHORIZER":
        return authorize(environ, start_response)
    text = json.dumps(
        {
            "environ": {k: v for k, v in environ.items() if isinstance(v, str)},
            "length": length,
            "sha256": body.hexdigest(),
        }
    )
    start_response("200 OK", [("Content-Type", "application/json"), ("Content-Length", str(len(text)))])
    return [text.encode()]


def authorize(environ, start_response):
    """Let in whoever says the word."""
    if environ.get("HTTP_X_WORD") == "sesame":
        start_response("200 OK", [("Variable-REMOTE_USER", "ali"), ("Variable-CAVE", "open")])
        return [b""]
    start_response("403 Forbidden", [("Content-Type", "text/plain")])
    return [b"the cave stays shut\n"]
