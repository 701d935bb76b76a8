"""The server of web: gunicorn's `asgi` worker, with limits on connections, requests and slow clients, and an orderly end."""
