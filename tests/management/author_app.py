"""An application of an author in a folder of its own: written there by a test, and used by processes that it starts.

Owns the application's models and settings. Must not be imported as a module of this project.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Final

from settings.env import ROOT

MODELS: Final = """
import uuid

from django.db import models


class Customer(models.Model):
    name = models.CharField(max_length=80)
    code = models.SlugField(unique=True)
    phone = models.CharField(max_length=40, blank=True)
    kind = models.CharField(max_length=1, choices=[("a", "A"), ("b", "B")])
    is_active = models.BooleanField(default=True)
    balance = models.DecimalField(max_digits=8, decimal_places=2)
    note = models.TextField(null=True)
    created_at = models.DateTimeField(auto_now_add=True)


class Visit(models.Model):
    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    customer = models.ForeignKey(Customer, models.CASCADE)
    minutes = models.PositiveSmallIntegerField()
    details = models.JSONField()
    seen_on = models.DateField()


class Tag(models.Model):
    word = models.CharField(max_length=5, primary_key=True)


class Label(models.Model):
    tag = models.OneToOneField(Tag, models.CASCADE, primary_key=True)
    weight = models.FloatField()
"""
SETTINGS: Final = """
from settings.test import *
from settings.test import INSTALLED_APPS

INSTALLED_APPS = [*INSTALLED_APPS, "crm"]
"""


class AuthorApp:
    """The application `crm` in a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.path = folder / "crm"
        self.path.mkdir()
        (self.path / "__init__.py").touch()
        (self.path / "models.py").write_text(MODELS)
        (folder / "crm_settings.py").write_text(SETTINGS)

    def run(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Run Python with these arguments and the application's settings."""
        environment = os.environ | {
            "DJANGO_SETTINGS_MODULE": "crm_settings",
            "PYTHONPATH": os.pathsep.join([str(self.folder), str(ROOT)]),
            "PYTEST_ADDOPTS": "",
        }
        for name in ("PYTEST_XDIST_WORKER", "PYTEST_CURRENT_TEST"):
            environment.pop(name, None)
        return subprocess.run(
            [sys.executable, *words],
            cwd=ROOT,
            env=environment,
            capture_output=True,
            text=True,
            timeout=900,
            check=False,
        )

    def manage(self, *words: str) -> subprocess.CompletedProcess[str]:
        return self.run("manage.py", *words)
