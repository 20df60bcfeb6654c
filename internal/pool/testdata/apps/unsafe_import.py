"""Leaves a listening socket and a thread after its import."""

import os
import socket
import threading

listener = socket.create_server(("127.0.0.1", 0))
thread = threading.Thread(target=threading.Event().wait, name="left-behind", daemon=True)
thread.start()
imported_by = os.getpid()


def application(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"imported by this process" if imported_by == os.getpid() else b"forked"]
