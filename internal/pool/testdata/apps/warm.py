"""Apps for warm_up: what was requested in the host is there in every worker."""

import os
import socket

HOST = os.getpid()
SEEN = []
KEPT = []


def text(start_response, body):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [body.encode()]


def seen(environ, start_response):
    return text(start_response, "%s %s" % (os.getppid() == HOST, " ".join(SEEN)))


def application(environ, start_response):
    path = environ["PATH_INFO"]
    if path == "/seen":
        return seen(environ, start_response)
    SEEN.append("%s?%s" % (path, environ["QUERY_STRING"]))
    if path == "/raises":
        raise RuntimeError("as warm as ice")
    if path == "/exits":
        raise SystemExit(3)
    if path == "/missing":
        start_response("404 Not Found", [])
        return [b"missing"]
    if path == "/endless":
        start_response("200 OK", [])
        return (b"x" * 65536 for _ in iter(int, 1))
    if path == "/keeps":
        KEPT.append(socket.create_server(("127.0.0.1", 0)))
    return text(start_response, "warm")
