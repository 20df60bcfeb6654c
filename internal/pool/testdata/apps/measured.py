"""What a status has to tell: one a path."""

import os
import time

kept = []


def wait(environ):
    """Until a file is there."""
    while not os.path.exists(environ["QUERY_STRING"]):
        time.sleep(0.002)


def burn(environ):
    """So many seconds of processor time."""
    end = time.process_time() + float(environ["QUERY_STRING"])
    while time.process_time() < end:
        pass


def grow(environ):
    """So many bytes more, all of them touched."""
    kept.append(b"x" * int(environ["QUERY_STRING"]))


def leave(environ):
    os._exit(3)


def hello(environ):
    pass


def application(environ, start_response):
    globals()[environ["PATH_INFO"].strip("/")](environ)
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"%d" % os.getpid()]
