"""Views that decide who may have a file, and leave the sending to the front."""

import os
from pathlib import Path

from django.http import FileResponse, HttpResponse, HttpResponseForbidden, StreamingHttpResponse
from django.urls import path

PRIVATE = Path(os.environ["PRIVATE"])


def _allowed(request):
    return request.GET.get("ticket") == "valid"


def by_path(request, name):
    if not _allowed(request):
        return HttpResponseForbidden("no ticket\n")
    response = HttpResponse(content_type="text/plain; charset=utf-8")
    response["Content-Disposition"] = f'attachment; filename="{name}"'
    response["Cache-Control"] = "private"
    response["X-Sendfile"] = str(PRIVATE / name)
    response.set_cookie("seen", name)
    return response


def by_uri(request, name):
    if not _allowed(request):
        return HttpResponseForbidden("no ticket\n")
    response = HttpResponse()
    del response["Content-Type"]  # the front knows it by the name
    response["X-Accel-Redirect"] = f"/protected/{name}"
    response["Cache-Control"] = "private"
    return response


def wrapped(request, name):
    return FileResponse((PRIVATE / name).open("rb"), content_type="text/plain")


def page(request):
    return HttpResponse("<!doctype html>\n" + "".join(f"<p>paragraph {i}</p>\n" for i in range(500)))


def stream(request):
    return StreamingHttpResponse((f"line {i}\n" for i in range(3)), content_type="text/plain")


urlpatterns = [
    path("path/<str:name>", by_path),
    path("uri/<str:name>", by_uri),
    path("wrapped/<str:name>", wrapped),
    path("page", page),
    path("stream", stream),
]
