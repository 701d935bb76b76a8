"""gunicorn's configuration for `web`: `gunicorn -c longtasks/gunicorn.py longtasks.wsgi`."""

from settings.env import load

_process = load().process

bind = f"{_process.bind}:{_process.port}"
workers = _process.web_workers
worker_class = "gthread"
threads = _process.web_threads
backlog = 2048
# Each worker opens its own connections, and HUP loads the new code.
preload_app = False

# ?wait= holds a request for up to 20 s; on HUP and TERM such a request may end before its worker does.
timeout = 60
graceful_timeout = 30
keepalive = 75

# The C parser where it is installed, Python's otherwise.
http_parser = "auto"
limit_request_line = 4094
limit_request_fields = 64
limit_request_field_size = 8190
forwarded_allow_ips = _process.forwarded_allow_ips

accesslog = None
errorlog = "-"
loglevel = _process.log_level.lower()
proc_name = "longtasks-web"
# No second way in beside the signals.
control_socket_disable = True
