"""Apps that do what an app must not; the path names the app."""

import ctypes
import os
import subprocess
import sys
import time
import urllib.parse


def text(start_response, body):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [body.encode()]


def pid(environ, start_response):
    return text(start_response, str(os.getpid()))


def garbage(environ, start_response):
    print("garbage on stdout")
    print("garbage on stderr", file=sys.stderr)
    os.write(1, b"garbage on descriptor 1\n")
    os.write(2, b"\x1e99\x1ftail \xff\xfe\n" + b"y" * 20000 + b"\n")
    return text(start_response, "fine")


def half_a_line(environ, start_response):
    os.write(1, urllib.parse.unquote_to_bytes(environ["QUERY_STRING"]))
    return text(start_response, "fine")


def close_descriptors(environ, start_response):
    os.closerange(0, 1024)
    return text(start_response, "never sent")


def fork_and_stay(environ, start_response):
    """The child lives on without ever returning."""
    child = os.fork()
    if child == 0:
        time.sleep(60)
        os._exit(0)
    return text(start_response, str(child))


def fork_and_return(environ, start_response):
    """Parent and child both return from the app."""
    os.fork()
    return text(start_response, str(os.getpid()))


def fork_and_die(environ, start_response):
    """The child holds what it can of the worker's, which then dies."""
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"], close_fds=False)
    sys.stderr.write("child %d\n" % child.pid)
    os._exit(1)


def fork_in_c(environ, start_response):
    """The child, of which Python knows nothing, holds all that is the worker's."""
    libc = ctypes.PyDLL(None)
    child = libc.fork()
    if child == 0:
        libc.sleep(600)
        libc._exit(0)
    return text(start_response, str(child))


def late_child(environ, start_response):
    """The child prints when a file appears, long after its worker and host may be gone."""
    script = "while [ ! -e %s ]; do sleep 0.02; done; echo a late word" % environ["QUERY_STRING"]
    subprocess.Popen(["sh", "-c", script])
    return text(start_response, "ok")


def stand(environ):
    """For so many seconds, or until a file is there, and at a FIFO until somebody opens it."""
    what = environ["QUERY_STRING"]
    if what.startswith("/"):
        while not os.path.exists(what):
            time.sleep(0.005)
        with open(what):
            return
    time.sleep(float(what))


def never(environ, start_response):
    while True:
        time.sleep(3600)


def slow_close(environ, start_response):
    class Body:
        def __iter__(self):
            return iter([b"answered"])

        def close(self):
            stand(environ)

    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", "8")])
    return Body()


def sleep(environ, start_response):
    time.sleep(float(environ["QUERY_STRING"]))
    return text(start_response, "slept")


def gate(environ, start_response):
    stand(environ)
    return text(start_response, "through")


def slow_stream(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    yield b"first "
    stand(environ)
    yield b"second"


def exit_now(environ, start_response):
    os._exit(3)


def application(environ, start_response):
    return globals()[environ["PATH_INFO"].split("/")[1]](environ, start_response)
