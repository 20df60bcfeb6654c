"""Who may: a WSGI app that is asked by a subrequest, or as an authorizer."""


def application(environ, start_response):
    if environ.get("FCGI_ROLE") == "AUTHORIZER":
        start_response("200 OK", [("Variable-REMOTE_USER", "ada"), ("Content-Length", "0")])
        return [b""]
    start_response("204 No Content", [("X-User", "ada")])
    return [b""]
