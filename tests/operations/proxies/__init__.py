"""The service behind each proxy of deploy/proxy, with settings.production and TLS at the proxy."""
