"""Does what a broken-into app would do, and says how that went."""

import json
import os
import signal
import socket
from urllib.parse import parse_qs


def read(path):
    with open(path, "rb") as f:
        return f.read(100).decode("latin-1")


def connect(path):
    with socket.socket(socket.AF_UNIX) as s:
        s.connect(path)
    return "connected"


def kill(pid):
    os.kill(int(pid), signal.SIGWINCH)  # which nobody minds
    return "signalled"


def names(path):
    return " ".join(os.listdir(path))


def ids(_):
    return "%d %d %s" % (os.getuid(), os.getgid(), os.getgroups())


ACTIONS = {"read": read, "connect": connect, "kill": kill, "list": names, "ids": ids, "env": os.environ.get}


def application(environ, start_response):
    query = parse_qs(environ["QUERY_STRING"])
    action = ACTIONS[query["do"][0]]
    try:
        done, said = True, action(query.get("what", [""])[0])
    except OSError as e:
        done, said = False, e.strerror
    body = json.dumps({"done": done, "said": said}).encode()
    start_response("200 OK", [("Content-Type", "application/json"), ("Content-Length", str(len(body)))])
    return [body]
