"""A Django view that says hello: the URL resolver and the handler, with no
middleware and no database, so that the servers differ and not the views. The length is what Django's
CommonMiddleware adds."""

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

BODY = b"Hello, World!\n"


def hello(request):
    return HttpResponse(BODY, content_type="text/plain", headers={"Content-Length": len(BODY)})


urlpatterns = [path("", hello)]
application = get_wsgi_application()
