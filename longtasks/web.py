"""`python -m longtasks.web`: the launcher of web, gunicorn with its `asgi` worker.

Owns the server's command line, and the warning about settings that have no effect any more. It replaces itself by the
server (exec, same pid), so signals reach the server. Must not serve a request.
"""

import os
import shutil
import sys

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured

from settings.env import load


def gunicorn_command() -> list[str]:
    return ["gunicorn", "-c", "longtasks/gunicorn.py", "longtasks.asgi"]


def main() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "settings.development")
    environment = dict(os.environ)  # copied before load() adds the variables of .env, which the server reads itself
    try:
        loaded = load()
        _ = settings.SECRET_KEY  # loads DJANGO_SETTINGS_MODULE, which may refuse
    except ImproperlyConfigured as error:
        sys.exit(f"longtasks: {error}")
    if loaded.retired:
        sys.stderr.write(f"longtasks: {loaded.retired}\n")
        sys.stderr.flush()
    command = gunicorn_command()
    if shutil.which(command[0]) is None:
        sys.exit(f"longtasks: {command[0]} is not on PATH: pip install -r requirements.txt")
    os.execvpe(command[0], command, environment)  # noqa: S606 (our own server, without a shell)


if __name__ == "__main__":
    main()
