"""A body that is read, a response of 1 MB, and one in pieces."""

BODY = b"Hello, World!\n"
LARGE = b"x" * 1000000
PIECE = b"x" * 1000


def pieces():
    for _ in range(64):
        yield PIECE


def application(environ, start_response):
    path = environ["PATH_INFO"]
    if path == "/large":
        start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(LARGE)))])
        return [LARGE]
    if path == "/stream":
        start_response("200 OK", [("Content-Type", "application/octet-stream")])
        return pieces()
    length = int(environ.get("CONTENT_LENGTH") or 0)
    if length and len(environ["wsgi.input"].read(length)) != length:
        start_response("400 Bad Request", [("Content-Length", "0")])
        return []
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(BODY)))])
    return [BODY]
