"""A page of a Django template with a table of 50 rows, cut to 1000 bytes: what
a cache saves. It may be kept for an hour."""

from django.conf import settings
from django.core.wsgi import get_wsgi_application
from django.http import HttpResponse
from django.template import Context, Engine
from django.urls import path

settings.configure(
    ALLOWED_HOSTS=["*"],
    DEBUG=False,
    MIDDLEWARE=[],
    ROOT_URLCONF=__name__,
    SECRET_KEY="of the benchmark",
)

TEMPLATE = Engine().from_string(
    "<table>{% for row in rows %}"
    "<tr><td>{{ row.name|upper }}</td><td>{{ row.price|floatformat:2 }}</td></tr>"
    "{% endfor %}</table>"
)


def page(request):
    rows = [{"name": "row <%d>" % n, "price": n * 1.25} for n in range(50)]
    body = TEMPLATE.render(Context({"rows": rows})).encode()[:1000]
    return HttpResponse(body, content_type="text/html", headers={"Cache-Control": "max-age=3600"})


urlpatterns = [path("", page), path("page", page)]
application = get_wsgi_application()
