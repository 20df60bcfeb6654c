"""Apps for workers that are threads; the path names the app."""

import atexit
import os
import re
import sys
import threading
import time

barriers = {}
lock = threading.Lock()
forked_in = []


def after_fork():
    forked_in.append(os.getpid())


def text(start_response, body):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [body.encode()]


def pid(environ, start_response):
    return text(start_response, str(os.getpid()))


def thread(environ, start_response):
    return text(start_response, "%d %s" % (os.getpid(), threading.current_thread().name))


def meet(environ, start_response):
    """Wait until as many requests as the query says are here at once."""
    count = int(environ["QUERY_STRING"])
    with lock:
        barrier = barriers.setdefault(count, threading.Barrier(count))
    barrier.wait(20)
    return text(start_response, "%d %d" % (os.getpid(), threading.get_ident()))


def sleep(environ, start_response):
    time.sleep(float(environ["QUERY_STRING"]))
    return text(start_response, "slept")


def wait_for(environ, start_response):
    """Run until a file exists."""
    while not os.path.exists(environ["QUERY_STRING"]):
        time.sleep(0.005)
    return text(start_response, "it exists")


def never(environ, start_response):
    threading.Event().wait()


def hold_interpreter(environ, start_response):
    """C code that keeps every other thread of the process from running."""
    re.match(r"(a|a)*$", "a" * 60 + "b")


def exit_handler(environ, start_response):

    @atexit.register
    def slow():
        time.sleep(0.3)
        print("an exit handler runs")

    return text(start_response, str(os.getpid()))


def thread_of_its_own(environ, start_response):
    """A thread that keeps the process from ending."""
    threading.Thread(target=threading.Event().wait).start()
    return text(start_response, str(os.getpid()))


def exit_now(environ, start_response):
    os._exit(3)


def describe(environ, start_response):
    names = ("wsgi.multithread", "wsgi.multiprocess", "wsgi.run_once")
    state = [environ[name] for name in names]
    return text(start_response, repr((state, forked_in == [os.getpid()], os.getpgid(0) == os.getpid())))


def talk(environ, start_response):
    """Print pieces of lines, between those of others."""
    word = environ["QUERY_STRING"]
    for i in range(50):
        for piece in ("begin-", word, "-", str(i)):
            print(piece, end="")
            sys.stdout.flush()
            time.sleep(0)
        print("-end")
    print("x" * 5000 + word, file=environ["wsgi.errors"])
    return text(start_response, threading.current_thread().name)


def helper(environ, start_response):
    """Print from a thread of the app's own, and past Python."""
    other = threading.Thread(target=print, args=("a helper speaks",))
    other.start()
    other.join()
    os.write(1, b"past Python\n")
    return text(start_response, "ok")


def close_own(environ, start_response):
    """Close what the worker has open, but for the lifeline of the interpreter itself."""
    os.closerange(3, 1024)
    return text(start_response, "never sent")


def fork_and_return(environ, start_response):
    """Parent and child both return from the app."""
    os.fork()
    return text(start_response, str(os.getpid()))


def lose_channel(environ, start_response):
    """Break this thread's channel, as a bug in the worker might."""
    from millrace_worker import output

    output.here.channel.requests.close()
    return text(start_response, str(os.getpid()))


def stream(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    for i in range(3):
        yield b"chunk %d\n" % i


def slow_stream(environ, start_response):
    """A sign of life every 20 ms, until a file exists."""
    start_response("200 OK", [("Content-Type", "text/plain")])
    while not os.path.exists(environ["QUERY_STRING"]):
        yield b"."
        time.sleep(0.02)
    yield b"the end"


def application(environ, start_response):
    return globals()[environ["PATH_INFO"].split("/")[1]](environ, start_response)


# A system that has no more threads to give.
if os.environ.get("MILLRACE_TEST_THREADS"):
    start_thread = threading.Thread.start
    room = int(os.environ["MILLRACE_TEST_THREADS"])

    def start(self):
        if sum(t.name.startswith("request-") for t in threading.enumerate()) >= room:
            raise RuntimeError("can't start new thread")
        start_thread(self)

    threading.Thread.start = start
