"""A worker that sends descriptors which it must not: the path says how."""

import array
import os
import socket

MOST = 100  # descriptors of one message


def send_file(exchange, path, flags):
    fd = os.open(path, flags)
    try:
        exchange.send_file(b"200 OK", fd, 0, 5)
    finally:
        os.close(fd)


def named(exchange, path):
    send_file(exchange, path, os.O_PATH)


def written(exchange, path):
    send_file(exchange, path, os.O_WRONLY)


def fifo(exchange, path):
    send_file(exchange, path, os.O_RDWR)


def read(exchange, path):
    send_file(exchange, path, os.O_RDONLY)


def answer(exchange):
    exchange.send(3, b"200 OK", b"fine")


def ready(exchange, path):
    exchange.send.__self__.announce()
    answer(exchange)


def broken(exchange, path):
    exchange.send.__self__.refuse("no reason")
    answer(exchange)


def ask(exchange, path):
    exchange.send(16, b"", b"")
    exchange.send(16, b"", b"")
    answer(exchange)


def many(exchange, path):
    """An answer of several frames, each with descriptors."""
    channel = exchange.send.__self__
    fd = os.open(path, os.O_RDONLY)
    head, flags = b"200 OK", 1
    for _ in range(MOST):
        frame = channel.seq.to_bytes(8, "little") + flags.to_bytes(4, "little")
        frame += len(head).to_bytes(4, "little") + (1).to_bytes(4, "little") + head + b"x"
        channel.answers.sendmsg([frame], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [fd] * 10))])
        head, flags = b"", 0
    exchange.send(2, b"", b"")


def application(environ, start_response):
    if environ["PATH_INFO"] != "/":
        exchange = start_response.__self__
        globals()[environ["PATH_INFO"][1:]](exchange, environ["QUERY_STRING"])
        exchange.head_sent = exchange.ended = True
        return []
    start_response("200 OK", [])
    return [b"%d" % os.getpid()]
