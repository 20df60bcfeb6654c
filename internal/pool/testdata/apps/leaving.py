"""An app that leaves much for its process's end."""

import atexit
import os
import threading

FOLDER = os.environ["MILLRACE_TEST_CLOSED"] + "-"
AT_IMPORT = open(FOLDER + "import", "w")
KEPT = []


def application(environ, start_response):
    if not KEPT:
        AT_IMPORT.write("of the import")
        KEPT.append(open(FOLDER + "request", "wb"))
        KEPT[0].write(b"of the request")
        atexit.register(at_exit)
        release = threading.Event()
        thread = threading.Thread(target=wait, args=(release,))
        thread.start()
        atexit.register(release.set)  # too late for the thread: it must have been waited for before
        release.set()
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"%d" % os.getpid()]


def wait(release):
    release.wait()
    KEPT.append(open(FOLDER + "thread", "w"))
    KEPT[1].write("of the thread")


def at_exit():
    KEPT.append(open(FOLDER + "exit", "w"))
    KEPT[-1].write("of the exit")
    raise RuntimeError("an exit handler that fails")
