"""The app that is served when there is none: a page that lists its environ.

"/" is a page for people, "/?json" the same as one JSON object.
"""

from __future__ import annotations

import html
import json
import platform
from typing import Any, Callable, Dict, Iterable, List, Tuple
from urllib.parse import parse_qs

PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>millrace runs</title>
<style>
:root { color-scheme: light dark; --ink: #1d2b33; --soft: #5b6b73; --paper: #f7f9f8; --card: #fff; --line: #dde5e3; --water: #1d7a8c }
@media (prefers-color-scheme: dark) { :root { --ink: #e3ebea; --soft: #93a5a8; --paper: #12191c; --card: #1a2428; --line: #2b393e; --water: #5cc0d0 } }
* { box-sizing: border-box }
body { margin: 0; font: 16px/1.55 system-ui, sans-serif; color: var(--ink); background: var(--paper) }
main { max-width: 46rem; margin: 0 auto; padding: 2.5rem 1rem 4rem }
h1 { font-size: 2rem; line-height: 1.2; margin: 0 0 .3rem }
h2 { font-size: 1.15rem; margin: 2.2rem 0 .6rem }
p.lead { color: var(--soft); margin: 0 }
svg { display: block; width: 100%%; height: 26px; margin: 1.4rem 0; color: var(--water) }
code, pre, td { font-family: ui-monospace, monospace; font-size: .86rem }
pre { overflow-x: auto; background: var(--card); border: 1px solid var(--line); border-radius: 8px; padding: .8rem 1rem; margin: .5rem 0 }
table { width: 100%%; border-collapse: collapse; table-layout: fixed; background: var(--card); border: 1px solid var(--line); border-radius: 8px }
th { font: inherit; font-family: ui-monospace, monospace; font-size: .86rem; text-align: left; color: var(--water); width: 42%% }
th, td { padding: .4rem .8rem; border-top: 1px solid var(--line); vertical-align: top; overflow-wrap: anywhere }
tr:first-child > * { border-top: 0 }
a { color: var(--water) }
</style>
</head>
<body>
<main>
<h1>millrace runs</h1>
<p class="lead">This page comes from the built-in demo app: no project was found in the folder that is served.</p>
<svg viewBox="0 0 400 26" preserveAspectRatio="none" fill="none" stroke="currentColor" stroke-width="2" aria-hidden="true">
<path d="M0 9q25-14 50 0t50 0 50 0 50 0 50 0 50 0 50 0 50 0"/><path opacity=".4" d="M0 20q25-14 50 0t50 0 50 0 50 0 50 0 50 0 50 0 50 0"/>
</svg>
<h2>Next</h2>
<p>A Django project, with its static files, in the folder of its <code>manage.py</code>:</p>
<pre>millrace serve</pre>
<p>Any other WSGI app, by its module and callable:</p>
<pre>millrace serve shop:app</pre>
<p>What its workers do now:</p>
<pre>millrace status</pre>
<h2>This request's environ</h2>
<table>
%(rows)s
</table>
<p><a href="?json">The same as JSON</a> &middot; Python %(python)s</p>
</main>
</body>
</html>
"""

StartResponse = Callable[[str, List[Tuple[str, str]]], Any]


def application(environ: Dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
    """Answer every path with the environ."""
    values = {key: show(value) for key, value in sorted(environ.items())}
    if "json" in parse_qs(environ.get("QUERY_STRING", ""), keep_blank_values=True):
        kind, text = "application/json", json.dumps(values, indent=1) + "\n"
    else:
        rows = "\n".join(
            "<tr><th>%s</th><td>%s</td></tr>" % (html.escape(key), html.escape(value)) for key, value in values.items()
        )
        kind, text = (
            "text/html; charset=utf-8",
            PAGE % {"rows": rows, "python": platform.python_version()},
        )
    body = text.encode("utf-8", "replace")
    start_response(
        "200 OK",
        [
            ("Content-Type", kind),
            ("Content-Length", str(len(body))),
            ("Cache-Control", "no-store"),
            ("X-Content-Type-Options", "nosniff"),
        ],
    )
    return [body]


def show(value: object) -> str:
    """A string as it is, anything else as Python writes it."""
    return value if isinstance(value, str) else repr(value)
