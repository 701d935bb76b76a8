"""Django's MySQL backend with a list of hosts. The setting ENGINE names this package; Django imports its module `base`."""
