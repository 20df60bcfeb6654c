"""The smallest WSGI app, and ones that wait."""

import time

BODY = b"Hello, World!\n"
HEADERS = [("Content-Type", "text/plain"), ("Content-Length", str(len(BODY)))]


def application(environ, start_response):
    start_response("200 OK", HEADERS)
    return [BODY]


def waits(environ, start_response):
    time.sleep(0.005)
    start_response("200 OK", HEADERS)
    return [BODY]


def views(environ, start_response):
    """One view of 200 ms among views of 1 ms."""
    time.sleep(0.2 if environ["PATH_INFO"] == "/long" else 0.001)
    start_response("200 OK", HEADERS)
    return [BODY]
