"""Cannot be imported until a file says otherwise."""

import os

if not os.path.exists(os.environ["MILLRACE_TEST_GATE"]):
    raise RuntimeError("the gate is closed")


def application(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"the gate is open"]
