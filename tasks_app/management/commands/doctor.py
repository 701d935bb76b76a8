"""`manage.py doctor`: prints the findings of tasks_app/operations/doctor, each fault with its fix."""

from __future__ import annotations

import json as json_module
import sys
from typing import Any, Final

from django.core.management.base import BaseCommand, CommandParser

from tasks_app.operations.doctor.findings import FAULT, OK, WARNING
from tasks_app.operations.doctor.report import examine

_MARKS: Final = {OK: "ok     ", WARNING: "WARNING", FAULT: "FAULT  "}


class Command(BaseCommand):
    help = "Check settings, Redis, database, processes and clocks. Exit codes: 0 no faults, 1 faults."
    requires_system_checks = ()  # doctor must run even if the system checks fail

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--json", action="store_true", help="JSON on standard output")

    def handle(self, *args: Any, json: bool, **options: Any) -> None:
        findings = examine()
        faults = sum(finding.level == FAULT for finding in findings)
        if json:
            self.stdout.write(json_module.dumps({"faults": faults, "findings": [each.as_json() for each in findings]}))
        else:
            for finding in findings:
                self.stdout.write(f"{_MARKS[finding.level]} {finding.check}: {finding.found}")
                if finding.mend:
                    self.stdout.write(f"        fix: {finding.mend}")
            self.stdout.write(f"{faults} faults." if faults else "No faults.")
        if faults:
            sys.exit(1)
