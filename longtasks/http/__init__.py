"""What every request passes before the API or a page: limits, origins, https, refusals."""
