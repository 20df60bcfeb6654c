"""Apps behind another front server; the path names the app."""

import hashlib
import os
import wsgiref.validate

kept = []


def text(start_response, body, headers=()):
    start_response("200 OK", [("Content-Type", "text/plain; charset=utf-8"), *headers])
    return [body.encode()]


def value(environ, start_response):
    names = environ["QUERY_STRING"].split(",")
    return text(start_response, "\n".join(ascii(environ.get(name)) for name in names))


def filtered(environ, start_response):
    data = environ["fcgi.data"]
    body = environ["wsgi.input"].read()
    first = data.read(3)
    rest = data.read()
    data.seek(0)
    whole = data.read() == first + rest
    kept.append(data)
    digest = hashlib.sha256(first + rest).hexdigest()
    said = (environ["FCGI_ROLE"], environ["FCGI_DATA_LENGTH"], len(first + rest), digest, len(body), whole)
    return text(start_response, " ".join(map(str, said)))


def state(environ, start_response):
    """Whether the data of the requests before are closed, and how many descriptors are open."""
    return text(start_response, "%s %d" % (all(data.closed for data in kept), len(os.listdir("/proc/self/fd"))))


def authorize(environ, start_response):
    headers = [("Variable-REMOTE_user", "caf\xe9"), ("Variable-X", "1"), ("x-other", "2")]
    return text(start_response, environ["FCGI_ROLE"], headers)


def application(environ, start_response):
    return globals()[environ["PATH_INFO"].split("/")[1]](environ, start_response)


validated = wsgiref.validate.validator(application)
