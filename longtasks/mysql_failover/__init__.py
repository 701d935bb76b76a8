"""A database backend: Django's MySQL backend with a list of hosts. ENGINE names it; Django imports its module `base`."""
