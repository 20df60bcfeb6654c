"""A small Django site: a template of 20 KB, and a list of 50 rows by the ORM on
SQLite. As a program it makes the database."""

import os

import django
from django.conf import settings
from django.core.wsgi import get_wsgi_application
from django.db import connection, models
from django.http import HttpResponse
from django.template import Context, Engine
from django.urls import path

DATABASE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "site.sqlite3")

settings.configure(
    ALLOWED_HOSTS=["*"],
    DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": DATABASE, "CONN_MAX_AGE": None}},
    DEBUG=False,
    MIDDLEWARE=[
        "django.middleware.security.SecurityMiddleware",
        "django.middleware.common.CommonMiddleware",
        "django.middleware.clickjacking.XFrameOptionsMiddleware",
    ],
    ROOT_URLCONF=__name__,
    SECRET_KEY="of the benchmark",
)
django.setup()


class Item(models.Model):
    name = models.CharField(max_length=100)
    price = models.FloatField()

    class Meta:
        app_label = "site"


PAGE = Engine().from_string(
    "<!doctype html><title>{{ title }}</title><ul>{% for row in rows %}"
    '<li><a href="/item/{{ row.id }}">{{ row.name }}</a> {{ row.text }}</li>\n{% endfor %}</ul>'
)
TEXT = "Lorem ipsum dolor sit amet, consectetur adipiscing elit & sed do eiusmod tempor. " * 5
ROWS = [{"id": "n%d" % n, "name": "row <%d>" % n, "text": TEXT[: 355 + n]} for n in range(45)]
LIST = Engine().from_string("<ul>{% for item in items %}<li>{{ item.name }}: {{ item.price }}</li>{% endfor %}</ul>")


def page(request):
    text = PAGE.render(Context({"title": "Rows", "rows": ROWS}))
    return HttpResponse(text.ljust(20480)[:20480])


def items(request):
    return HttpResponse(LIST.render(Context({"items": Item.objects.order_by("name")[:50]})).ljust(2000))


urlpatterns = [path("page", page), path("list", items)]
application = get_wsgi_application()

if __name__ == "__main__":
    if os.path.exists(DATABASE):
        os.remove(DATABASE)
    with connection.schema_editor() as editor:
        editor.create_model(Item)
    Item.objects.bulk_create(Item(name="Item %04d, of the list" % n, price=n * 1.25) for n in range(1000))
