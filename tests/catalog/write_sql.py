"""`python -m tests.catalog.write_sql`: `manage.py write_sql` on its own MariaDB. `make sql` runs it."""

import os
import subprocess
import sys

from loadtests.started.servers import MariaDB
from settings.env import ROOT


def main() -> int:
    database = MariaDB()
    try:
        database.start()
        database.create_database("longtasks")
        return subprocess.run(
            [sys.executable, "manage.py", "write_sql", *sys.argv[1:]],
            cwd=ROOT,
            env=os.environ | {"DATABASE_URL": database.url("longtasks"), "DATABASE_READ_URL": "", "ENV_FILE": ""},
            check=False,
        ).returncode
    finally:
        database.remove()


if __name__ == "__main__":
    sys.exit(main())
