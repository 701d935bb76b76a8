"""The Django project: URLs, WSGI entry, web server configuration."""
