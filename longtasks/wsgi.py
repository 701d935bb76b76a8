"""The WSGI entry that gunicorn serves."""

import os

from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "settings.development")

application = get_wsgi_application()

from tasks_app.infrastructure import limit_waiting  # noqa: E402 (after the applications are ready)

# A request is answered within two seconds, also while the database hangs: one to find out, one to connect anew.
limit_waiting(1)
