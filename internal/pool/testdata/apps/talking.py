"""Prints in every way that there is; the path says which."""

import logging
import os
import sys
import threading
import time

logging.basicConfig(format="%(levelname)s %(message)s", level=logging.INFO)
if os.environ.get("BARRIER"):
    barrier = threading.Barrier(int(os.environ["BARRIER"]))


def wait_for(path):
    while not os.path.exists(path):
        time.sleep(0.002)


def everywhere(environ, word):
    print("printed", word)
    print("to stderr", word, file=sys.stderr)
    sys.stdout.write("in ")
    sys.stdout.write("pieces %s\n" % word)
    environ["wsgi.errors"].writelines(["errors %s\n" % word, "more errors %s\n" % word])
    environ["wsgi.errors"].flush()
    logging.info("first line %s\nsecond line %s", word, word)
    try:
        raise ValueError(word)
    except ValueError:
        logging.exception("caught %s", word)


def thread(environ, word):
    t = threading.Thread(target=print, args=("from a thread", word))
    t.start()
    t.join()


def long(environ, word):
    """Lines of 30000 characters; where threads answer, all of them at once."""
    if os.environ.get("BARRIER"):
        barrier.wait()
    for _ in range(3):
        print(word * (30000 // len(word)))
    sys.stdout.flush()


def raw(environ, path):
    """Stays until a file appears, so that the line is read while the request runs."""
    os.write(1, b"raw word\n")
    wait_for(path)


def later(environ, path):
    """A thread speaks when a file appears, long after the request."""

    def speak():
        wait_for(path)
        print("idle word")

    threading.Thread(target=speak).start()


def closing(environ, path):
    """The response's close() speaks, and stays until a file appears."""

    class Closing:
        def __iter__(self):
            return iter([b"ok"])

        def close(self):
            os.write(1, b"closing word\n")
            wait_for(path)

    return Closing()


def application(environ, start_response):
    result = globals()[environ["PATH_INFO"].strip("/")](environ, environ["QUERY_STRING"])
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", "2")])
    return result or [b"ok"]
