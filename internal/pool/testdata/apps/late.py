"""Views that take too long, each in its own way; the path names the view."""

import ctypes
import hashlib
import itertools
import os
import re
import signal
import socket
import sys
import time


def text(start_response, body):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [body.encode()]


def pid(environ, start_response):
    return text(start_response, str(os.getpid()))


def loops(environ, start_response):
    note = environ["QUERY_STRING"]
    try:
        sum(n for n in itertools.count())  # the line: loops
    finally:
        if note:
            with open(note, "w") as f:
                f.write("finally: %s" % sys.exc_info()[0].__name__)


def stubborn(environ, start_response):
    while True:
        try:
            while True:
                time.sleep(0.01)
        except BaseException:
            sys.stderr.write("stubborn\n")


def holds_the_lock(environ, start_response):
    re.match(r"(a|a)*$", "a" * 60 + "b")  # the line: holds_the_lock


def sleeps_in_c(environ, start_response):
    ctypes.PyDLL(None).pause()  # returns at a signal, and never else
    usleep = ctypes.PyDLL(None).usleep
    while True:
        usleep(900000)  # the line: sleeps_in_c


def waits_for_a_socket(environ, start_response):
    a, b = socket.socketpair()
    try:
        a.recv(1)  # the line: waits_for_a_socket
    finally:
        note = environ["QUERY_STRING"]
        if note:
            with open(note, "w") as f:
                f.write("finally: %s" % sys.exc_info()[0].__name__)


def sleep(environ, start_response):
    time.sleep(float(environ["QUERY_STRING"]))  # the line: sleep
    return text(start_response, "slept")


def own_handler(environ, start_response):
    """The app takes SIGTERM for itself."""

    def handler(number, frame):
        sys.stderr.write("the app's own handler\n")

    signal.signal(signal.SIGTERM, handler)
    while True:
        time.sleep(0.01)


def closes(environ, start_response):
    class Body:
        def __iter__(self):
            return iter([b"answered"])

        def close(self):
            time.sleep(3600)  # the line: closes

    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", "8")])
    return Body()


def deep(environ, start_response, depth=90):
    if depth:
        return deep(environ, start_response, depth - 1)
    time.sleep(float(environ["QUERY_STRING"]))
    return text(start_response, "deep")


grown = []


def grow(environ, start_response):
    """Take a mebibyte more, and keep it."""
    grown.append(bytearray(b"x" * (1 << 20)))
    return text(start_response, str(os.getpid()))


def echo(environ, start_response):
    """What came, in few words, after a while."""
    body = environ["wsgi.input"].read()
    time.sleep(0.02)
    return text(start_response, "%d %s" % (len(body), hashlib.sha256(body).hexdigest()))


def crash(environ, start_response):
    os.kill(os.getpid(), signal.SIGSEGV)
    time.sleep(60)  # where the signal is another thread's


def crash_unless(environ, start_response):
    """Die, and the one that comes after does not."""
    try:
        os.close(os.open(environ["QUERY_STRING"], os.O_CREAT | os.O_EXCL))
        os.kill(os.getpid(), signal.SIGKILL)
        time.sleep(60)
    except FileExistsError:
        pass
    return text(start_response, "second")


def stream_and_die(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    yield b"first"
    os.kill(os.getpid(), signal.SIGKILL)


def application(environ, start_response):
    return globals()[environ["PATH_INFO"].strip("/")](environ, start_response)
