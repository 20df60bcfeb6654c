"""Leaves after its import what the environment's LEAVE names."""

import _thread
import concurrent.futures
import ctypes
import fcntl
import os
import select
import socket
import sqlite3
import threading

kept = []
PLACE = os.environ.get("PLACE", "")


def wait_for_ever():
    threading.Event().wait()


def connection():
    host, port = PLACE.split(":")
    kept.append(socket.create_connection((host, int(port))))


def pair():
    kept.append(socket.socketpair())


def unconnected():
    kept.append(socket.socket())


def pipe():
    kept.append(os.pipe())


def epoll():
    kept.append(select.epoll())


def flock():
    f = open(PLACE, "w")
    fcntl.flock(f, fcntl.LOCK_EX)
    kept.append(f)


def lockf():
    f = open(PLACE, "w")
    fcntl.lockf(f, fcntl.LOCK_EX)
    kept.append(f)


def sqlite():
    database = sqlite3.connect(PLACE)
    database.execute("create table if not exists t (a)")
    database.commit()
    kept.append(database)


def thread():
    threading.Thread(target=wait_for_ever, name="poller", daemon=True).start()


def subclass():
    class Wheel(threading.Thread):
        def run(self):
            wait_for_ever()

    Wheel(name="wheel", daemon=True).start()


def executor():
    pool = concurrent.futures.ThreadPoolExecutor(1, thread_name_prefix="mill")
    pool.submit(int)
    kept.append(pool)


def raw_thread():
    _thread.start_new_thread(wait_for_ever, ())


def c_thread():
    """A thread that no Python runs in, as a library's."""
    libc = ctypes.CDLL(None)
    number = ctypes.c_ulong()
    libc.pthread_create(ctypes.byref(number), None, libc.pause, None)
    libc.pthread_setname_np(number, b"grindstone")


# What follows does no harm.


def datagrams():
    a = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    a.connect(("127.0.0.1", 514))
    kept.append(a)
    kept.append(socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM))


def log_file():
    kept.append(open(PLACE, "a"))


def joined_threads():
    for _ in range(20):
        t = threading.Thread(target=int)
        t.start()
        t.join()


for name in os.environ["LEAVE"].split():
    globals()[name]()
imported_by = os.getpid()


def application(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"imported by this process" if imported_by == os.getpid() else b"forked"]
