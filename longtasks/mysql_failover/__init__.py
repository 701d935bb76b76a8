"""A database backend: Django's for MySQL, with a list of hosts. Named by ENGINE; Django looks for its module `base`."""
