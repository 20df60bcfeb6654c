"""The request that warms an app up in its host, before the first fork.

What a first request loads (URL configuration, templates, translations) is
then there for every worker, and shared by all of them.  Nothing of it may
stay open: Django's database connections are closed after it, and the host
looks for whatever else a fork must not share.
"""

from __future__ import annotations

import io
import sys
import traceback
from typing import Any, Tuple
from urllib.parse import unquote_to_bytes

from millrace_worker import wsgi

MOST = 16 * 1024 * 1024  # bytes of the response; it may have no end


class Sink:
    """Takes a response, and keeps its status alone."""

    def __init__(self) -> None:
        self.size = 0
        self.exchange = wsgi.Exchange(self.send, self.send_file, self.enough)

    def send(self, flags: int, head: bytes, body: bytes) -> None:
        self.size += len(body)

    def send_file(self, head: bytes, fd: int, offset: int, size: int) -> None:
        pass

    def enough(self) -> bool:
        return self.size > MOST


def up(app: Any, path: str, fixed: Any) -> None:
    """Request the path.  What the app raises is logged; what it is worth is the app's to say."""
    django = sys.modules.get("django.conf")
    host, scheme, extra = ("localhost", "http", {}) if django is None else origin(django.settings)
    environ = environment(path, host, scheme)
    environ.update(extra)
    environ.update(fixed)
    sink = Sink()
    exchange, result = sink.exchange, None
    try:
        result = app(environ, exchange.start_response)
        exchange.body(result)
    except wsgi.ClientLeft:
        pass
    except BaseException:
        exchange.fail(environ, False)
    finally:
        close(result, environ, exchange)
        disconnect()
    if exchange.status is not None and exchange.status[:1] not in "23":
        sys.stderr.write("warm_up: %s is answered with %s\n" % (path, exchange.status))


def close(result: Any, environ: Any, exchange: wsgi.Exchange) -> None:
    try:
        if hasattr(result, "close"):
            result.close()
    except BaseException:
        exchange.fail(environ, False)


def environment(path: str, host: str, scheme: str) -> Any:
    """What a GET of the path by this machine would bring."""
    path_info, _, query = path.partition("?")
    return {
        "REQUEST_METHOD": "GET",
        "SCRIPT_NAME": "",
        "PATH_INFO": unquote_to_bytes(path_info).decode("latin-1"),
        "QUERY_STRING": query,
        "REQUEST_URI": path,
        "REMOTE_ADDR": "127.0.0.1",
        "REMOTE_PORT": "0",
        "SERVER_NAME": host,
        "SERVER_PORT": "443" if scheme == "https" else "80",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "HTTP_HOST": host,
        "HTTP_USER_AGENT": "millrace warm_up",
        "wsgi.url_scheme": scheme,
        "wsgi.input": io.BytesIO(),
    }


def origin(settings: Any) -> Tuple[str, str, Any]:
    """A host that Django allows, a scheme that it does not redirect, and the header that says so."""
    try:
        names = [name.lstrip(".") for name in settings.ALLOWED_HOSTS if name != "*"]
        host = names[0] if names and not settings.DEBUG else "localhost"
        scheme = "https" if settings.SECURE_SSL_REDIRECT else "http"
        header = settings.SECURE_PROXY_SSL_HEADER
    except Exception:  # settings of nobody
        return "localhost", "http", {}
    return host, scheme, {header[0]: header[1]} if header and scheme == "https" else {}


def disconnect() -> None:
    """Close Django's database connections: each worker opens its own."""
    db = sys.modules.get("django.db")
    if db is None:
        return
    try:
        db.connections.close_all()
    except Exception:
        sys.stderr.write("warm_up: cannot close the database connections\n%s" % traceback.format_exc())
