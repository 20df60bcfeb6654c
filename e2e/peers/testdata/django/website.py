"""A Django project in one file."""

import hashlib

from django.conf import settings
from django.core.wsgi import get_wsgi_application
from django.http import HttpResponse, HttpResponseRedirect, JsonResponse
from django.urls import path, reverse
from django.views.decorators.csrf import csrf_exempt

settings.configure(
    ALLOWED_HOSTS=["*"],
    ROOT_URLCONF=__name__,
    SECRET_KEY="of a test",
    MIDDLEWARE=["django.middleware.common.CommonMiddleware"],
    DATA_UPLOAD_MAX_MEMORY_SIZE=None,
)


@csrf_exempt
def page(request, name):
    """What Django makes of a request."""
    return JsonResponse(
        {
            "name": name,
            "path": request.path,
            "script": request.META["SCRIPT_NAME"],
            "home": reverse("page", args=["home"]),
            "uri": request.build_absolute_uri(),
            "get": request.GET.dict(),
            "post": request.POST.dict(),
            "files": {k: hashlib.sha256(f.read()).hexdigest() for k, f in request.FILES.items()},
        }
    )


def away(request):
    return HttpResponseRedirect(reverse("page", args=["home"]))


def root(request):
    return HttpResponse("the root")


urlpatterns = [
    path("", root),
    path("away/", away),
    path("page/<str:name>/", page, name="page"),
]
application = get_wsgi_application()
