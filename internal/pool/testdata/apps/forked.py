"""Shows what the fork gives each worker of its own."""

import os
import random

called_in = []


def after_fork():
    called_in.append(os.getpid())


def application(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [("%d %r %r" % (os.getpid(), called_in == [os.getpid()], random.random())).encode()]
