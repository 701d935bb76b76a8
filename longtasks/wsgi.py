"""The WSGI entry that gunicorn and Granian serve, and what web does at each request's begin and end."""

import os
import sys

from django.core.exceptions import ImproperlyConfigured
from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "settings.development")

try:
    application = get_wsgi_application()
except ImproperlyConfigured as error:
    sys.exit(f"longtasks: {error}")

from django.conf import settings
from django.core.cache import close_caches
from django.core.handlers.base import reset_urlconf
from django.core.signals import request_finished, request_started
from django.db import close_old_connections, reset_queries

from longtasks.http.bounded_request import BoundedRequest
from tasks_app.auth import token_keeper
from tasks_app.database.timeouts import limit_answer_time

application.request_class = BoundedRequest

# Django looks through all connections three times a request, closes caches, of which there are none, and forgets the
# URLs, which are the same for all. The look at the request's end is enough, where no connection keeps its queries.
request_started.disconnect(close_old_connections)
request_finished.disconnect(close_caches)
request_finished.disconnect(reset_urlconf)
if not settings.DEBUG:
    request_started.disconnect(reset_queries)

# A request is answered within two seconds, also while the database hangs: one to find out, one to connect anew.
limit_answer_time(1)

token_keeper.keep_fresh()
