"""A small answer, one of 1 MB, and bodies that are read."""

BODY = b"Hello, World!\n"
LARGE = b"x" * 1000000


def application(environ, start_response):
    environ["wsgi.input"].read()
    body = LARGE if environ["PATH_INFO"] == "/large" else BODY
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))])
    return [body]
