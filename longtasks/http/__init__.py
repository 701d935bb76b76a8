"""The middleware in front of the API and the pages: limits, origins, https, refusals."""
