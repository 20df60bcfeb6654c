"""The exceptions that Django keeps to itself.

With DEBUG off Django answers an exception with its own error page, and tells
nobody but its logging, which by default writes to no stream.  It does send the
signal got_request_exception; this module listens, and logs the traceback.

Nothing here imports Django: it is looked for among what the app has imported.
"""

from __future__ import annotations

import sys
from typing import Any

from millrace_worker import output, wsgi

SIGNALS = "django.core.signals"


def listen() -> None:
    """Log the tracebacks of Django's requests from now on, if the app has imported it."""
    signals = sys.modules.get(SIGNALS)
    signal = getattr(signals, "got_request_exception", None)
    if signal is not None:
        signal.connect(heard, weak=False, dispatch_uid=__name__)  # a second call changes nothing


def heard(sender: Any, request: Any = None, **more: Any) -> None:
    """Django's handler calls this while it handles the exception."""
    meta = getattr(request, "META", None) or {}
    text = wsgi.report(meta.get("REQUEST_METHOD"), meta.get("REQUEST_URI"))
    channel = output.here.channel
    if channel is not None and channel.exchange.heard is not None and not debug():
        channel.exchange.heard = text


def debug() -> bool:
    """Whether Django shows its own page, which says more than a traceback."""
    conf = sys.modules.get("django.conf")
    return bool(getattr(getattr(conf, "settings", None), "DEBUG", False))
