"""Fails in every way that there is; the path says which."""

import sys

HEADERS = [("Content-Type", "text/plain"), ("X-App", "here")]


def at_once(start_response):
    raise ValueError("at once")


def after_start(start_response):
    start_response("200 OK", HEADERS)
    raise ValueError("after start_response")


def from_generator(start_response):
    start_response("200 OK", HEADERS)
    yield b""
    raise ValueError("from a generator")


def no_start(start_response):
    return [b"body"]


def exit(start_response):
    sys.exit(3)


def bad_header(start_response):
    start_response("200 OK", HEADERS + [("X-Evil", "a\nb")])
    return [b"body"]


def surrogate(start_response):
    raise ValueError("\udc80")


class Endless(ValueError):
    def __str__(self):
        return "x" * 1000000 + " a long way down"


def endless(start_response):
    raise Endless


def refused(start_response):
    start_response("200 OK", HEADERS + [("Content-Length", "many")])
    return [b"body"]


def no_stderr(start_response):
    sys.stderr = None  # as a daemon's libraries do
    raise ValueError("without a stderr")


def own_id(start_response):
    start_response("200 OK", [("X-Request-ID", "mine")])
    return [b"body"]


def application(environ, start_response):
    return globals()[environ["PATH_INFO"].strip("/")](start_response)
