"""The WSGI application of a Django project whose settings name none.

The app "millrace_worker.django_wsgi:application"; DJANGO_SETTINGS_MODULE is
in the environment.
"""

from __future__ import annotations

from django.core.wsgi import get_wsgi_application

application = get_wsgi_application()
