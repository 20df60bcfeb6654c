"""A Django view that says hello: the URL resolver and the handler, with no
middleware and no database, so that the servers differ and not the views."""

from django.conf import settings
from django.core.wsgi import get_wsgi_application
from django.http import HttpResponse
from django.urls import path

settings.configure(
    ALLOWED_HOSTS=["*"],
    DEBUG=False,
    MIDDLEWARE=[],
    ROOT_URLCONF=__name__,
    SECRET_KEY="of the benchmark",
)


def hello(request):
    return HttpResponse(b"Hello, World!\n", content_type="text/plain")


urlpatterns = [path("", hello)]
application = get_wsgi_application()
