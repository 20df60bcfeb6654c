"""What a view takes without any server: nanoseconds of processor time a call.

in_process.py MODULE:CALLABLE PATH
"""

import importlib
import io
import sys
import time


def environ(path):
    """What servers hand over for a GET, at its usual length."""
    return {
        "REQUEST_METHOD": "GET",
        "SCRIPT_NAME": "",
        "PATH_INFO": path,
        "QUERY_STRING": "",
        "REQUEST_URI": path,
        "SERVER_NAME": "127.0.0.1",
        "SERVER_PORT": "8000",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "SERVER_SOFTWARE": "none",
        "GATEWAY_INTERFACE": "CGI/1.1",
        "REMOTE_ADDR": "127.0.0.1",
        "REMOTE_PORT": "40000",
        "CONTENT_LENGTH": "",
        "HTTP_HOST": "127.0.0.1:8000",
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": "http",
        "wsgi.input": io.BytesIO(),
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": False,
        "wsgi.multiprocess": True,
        "wsgi.run_once": False,
    }


def start_response(status, headers, exc_info=None):
    if not status.startswith("200"):
        raise SystemExit("the view answers " + status)


def run(application, template, calls):
    begin = time.process_time_ns()
    for _ in range(calls):
        answer = application(dict(template), start_response)
        for _ in answer:
            pass
        close = getattr(answer, "close", None)
        if close is not None:
            close()
    return time.process_time_ns() - begin


def main():
    module, name = sys.argv[1].split(":")
    application = getattr(importlib.import_module(module), name)
    template = environ(sys.argv[2])
    calls = 1
    while (took := run(application, template, calls)) < 500_000_000:
        calls = max(calls * 2, int(calls * 600_000_000 / max(took, 1)) if took > 1_000_000 else 0)
    print(took / calls)


main()
