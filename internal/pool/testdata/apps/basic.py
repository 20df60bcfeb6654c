"""Small apps, one a path."""

import os
import sys
import time


def hello(environ, start_response):
    body = b"Hello, world!\n"
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))])
    return [body]


def echo(environ, start_response):
    body = environ["wsgi.input"].read()
    start_response(
        "200 OK", [("Content-Type", "application/octet-stream"), ("X-Length", environ.get("CONTENT_LENGTH", "none"))]
    )
    return [body]


def env(environ, start_response):
    name = environ["QUERY_STRING"]
    start_response("200 OK", [("Content-Type", "text/plain; charset=utf-8")])
    return [repr(environ.get(name)).encode()]


def stream(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    for i in range(3):
        yield b"chunk %d\n" % i


def big(environ, start_response):
    size = int(environ["QUERY_STRING"])
    start_response("200 OK", [("Content-Type", "application/octet-stream")])
    return [b"x" * size]


def sleep(environ, start_response):
    time.sleep(float(environ["QUERY_STRING"]))
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"slept\n"]


def fail(environ, start_response):
    raise RuntimeError("as asked")


def leave(environ, start_response):
    os._exit(3)


def pid(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"%d" % os.getpid()]


def say(environ, start_response):
    print("said on stdout")
    print("said on stderr", file=sys.stderr)
    os.write(1, b"said raw\n")
    start_response("200 OK", [])
    return [b""]


def file(environ, start_response):
    f = open(__file__, "rb")
    start_response("200 OK", [("Content-Type", "text/x-python")])
    return environ["wsgi.file_wrapper"](f)


def application(environ, start_response):
    name = environ["PATH_INFO"].strip("/").split("/")[0] or "hello"
    return globals()[name](environ, start_response)
