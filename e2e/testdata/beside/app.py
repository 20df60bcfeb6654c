"""Small views for the tests of the server itself."""

import os
import time


def application(environ, start_response):
    name = environ["PATH_INFO"].strip("/")
    body = b"hello\n"
    if name == "pid":
        body = str(os.getpid()).encode()
    elif name == "sleep":
        time.sleep(float(environ["QUERY_STRING"]))
    elif name == "large":
        body = b"x" * int(environ["QUERY_STRING"])
    elif name == "echo":
        body = environ["wsgi.input"].read()
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))])
    return [body]
