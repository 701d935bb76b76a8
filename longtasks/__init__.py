"""The Django project: URLs, ASGI and WSGI entries, web server configuration."""
