"""The Python side of millrace: runs a WSGI app, and nothing else.

Every wire protocol is decoded in Go; a worker sees ready-made requests on a
channel. Files, in reading order: loader (how this package gets here without
a file on disk), host (imports the app once and forks workers), channel (the
loop of one worker), wsgi (the rules of PEP 3333), output (stdout and stderr),
overtime (requests that take too long), probe (asks a project what it is), demo (the app served when there is none).
"""
