"""The WSGI application of a Django project: the one that its settings name.

The app "millrace_worker.django_wsgi:application"; DJANGO_SETTINGS_MODULE is
in the environment.
"""

from __future__ import annotations

from django.conf import settings
from django.core.wsgi import get_wsgi_application
from django.utils.module_loading import import_string

named = getattr(settings, "WSGI_APPLICATION", None)
application = import_string(named) if named else get_wsgi_application()
