"""Its import hangs while a file is there."""

import os
import time

while os.path.exists(os.environ["MILLRACE_TEST_GATE"]):
    time.sleep(0.02)


def application(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [str(os.getpid()).encode()]
