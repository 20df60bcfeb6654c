"""Views that the tests hold open: one that waits does so until the test
writes to the FIFO named by POLLS_GATE, never for a time."""

import hashlib
import os

from django import forms
from django.http import HttpResponse, HttpResponseRedirect, JsonResponse, StreamingHttpResponse
from django.template import Context, Engine
from django.template.context_processors import csrf

from .models import Question, Upload

FORM = Engine().from_string(
    '<form method="post" enctype="multipart/form-data">{% csrf_token %}{{ form }}<button>Send</button></form>'
)


class UploadForm(forms.Form):
    note = forms.CharField()
    file = forms.FileField()


def wait_for_gate():
    with open(os.environ["POLLS_GATE"]) as gate:
        return gate.read()


def index(request):
    return JsonResponse({"questions": [q.text for q in Question.objects.order_by("id")]})


def upload(request):
    form = UploadForm(request.POST or None, request.FILES or None)
    if request.method == "POST" and form.is_valid():
        file = form.cleaned_data["file"]
        digest = hashlib.sha256()
        for chunk in file.chunks():
            digest.update(chunk)
        Upload.objects.create(name=form.cleaned_data["note"], size=file.size, sha256=digest.hexdigest())
        return HttpResponseRedirect("/uploads/")
    context = {"form": form}
    context.update(csrf(request))
    return HttpResponse(FORM.render(Context(context)), status=400 if form.errors else 200)


def uploads(request):
    return JsonResponse({"uploads": list(Upload.objects.order_by("id").values("name", "size", "sha256"))})


def stream(request):
    def chunks():
        yield "first\n"
        yield "second: " + wait_for_gate() + "\n"

    return StreamingHttpResponse(chunks(), content_type="text/plain")


def slow(request):
    return HttpResponse("slow: " + wait_for_gate(), content_type="text/plain")
