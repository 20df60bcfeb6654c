"""An app that raises, prints, and says what it was told."""

import json
import logging
import os
import sys

logging.basicConfig(format="logged %(message)s", level=logging.INFO)


def application(environ, start_response):
    name = environ["PATH_INFO"].strip("/")
    if name == "raise":
        raise RuntimeError("the wheel is stuck")
    if name == "leave":
        os._exit(3)
    if name == "talk":
        print("printed by", environ["HTTP_X_REQUEST_ID"])
        logging.info("by %s", environ["HTTP_X_REQUEST_ID"])
        environ["wsgi.errors"].write("errors of %s\n" % environ["HTTP_X_REQUEST_ID"])
        sys.stderr.flush()
        os.write(2, b"raw of %s\n" % environ["HTTP_X_REQUEST_ID"].encode())
    told = {key: value for key, value in environ.items() if key.startswith("HTTP_")}
    body = json.dumps(told).encode()
    start_response("200 OK", [("Content-Type", "application/json"), ("X-Request-ID", "the app's own")])
    return [body]
