"""The WSGI application: Django set up for web. `longtasks/asgi.py` serves its pages; `manage.py runserver` serves all of it.

Owns web's handlers at the start and the end of a request. Must not depend on a particular server.
"""

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

# Per request, Django checks all connections three times, closes caches and resets the URLconf. There are no caches, and
# the URLconf never changes. One check at the end is enough, since without DEBUG no connection records its queries.
request_started.disconnect(close_old_connections)
request_finished.disconnect(close_caches)
request_finished.disconnect(reset_urlconf)
if not settings.DEBUG:
    request_started.disconnect(reset_queries)

# Even if the database hangs, a response takes at most two seconds: one to detect it, one to reconnect.
limit_answer_time(1)

token_keeper.keep_fresh()
