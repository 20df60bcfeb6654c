"""Who may read private files: a view that is asked about them, in two ways."""

from django.contrib.auth.views import redirect_to_login
from django.http import HttpResponse, HttpResponseForbidden


def refusal(request, uri):
    if not request.user.is_authenticated:
        return redirect_to_login(uri, "/admin/login/")
    if not request.user.is_superuser:
        return HttpResponseForbidden("not you, %s\n" % request.user.get_username())
    return None


def may_i(request):
    """A subrequest."""
    answer = refusal(request, request.headers["X-Original-URI"])
    if answer is None:
        answer = HttpResponse(status=204)
        answer["X-User"] = request.user.get_username()
    return answer


def authorize(request, name):
    """In the role of an authorizer."""
    if request.environ.get("FCGI_ROLE") != "AUTHORIZER":
        return HttpResponse("not in the role", status=500)
    answer = refusal(request, request.get_full_path())
    if answer is None:
        answer = HttpResponse("this is nobody's")
        answer["Variable-REMOTE_USER"] = request.user.get_username()
    return answer


def stamp(request, name):
    """In the role of a filter."""
    data = request.environ["fcgi.data"].read()
    return HttpResponse(data.upper() + b" / " + request.environ["FCGI_ROLE"].encode(), content_type="text/plain")


def who(request):
    return HttpResponse("%s %s" % (request.environ.get("REMOTE_USER"), request.headers.get("X-User")))
