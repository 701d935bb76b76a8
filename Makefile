# The targets to run, test and check longtasks; `make help` lists them. Needs python3 (3.11 or newer) and make.

.DEFAULT_GOAL := help
SHELL := /bin/bash
PYTHON ?= python3
ARGS ?=
PIP := .venv/bin/python -m pip install -qq --disable-pip-version-check

# The MySQL driver is built from source, so it is installed only if DATABASE_URL names a MySQL database.
database := $(or $(DATABASE_URL),$(shell $(PYTHON) -P settings/env_file.py DATABASE_URL))
runtime := $(if $(filter mysql% mariadb%,$(database)),.venv/.full,.venv/.embedded)

# Run one command with a temporary data directory.
in_data_dir = data_dir=$$(mktemp -d) && trap 'rm -rf "$$data_dir"' EXIT && DATA_DIR="$$data_dir"

.PHONY: help
help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-15s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: demo
demo: .venv/.embedded ## start the embedded stack, run two uploads, compare the counts, stop
	@.venv/bin/python manage.py demo

.PHONY: up
up: $(runtime) ## serve on PORT (3000) with WORKERS (one per core) until Ctrl-C
	@.venv/bin/python manage.py up

.PHONY: dev
dev: $(runtime) .venv/.dev ## the same with DEBUG, restarted after each change of the code
	@DEBUG=1 .venv/bin/python -m watchfiles --sigint-timeout 30 '.venv/bin/python manage.py up' longtasks settings tasks_app catalog manage.py Procfile

.PHONY: reload
reload: $(runtime) ## load new code without downtime, under `make up` or deploy/supervisord.conf
	@.venv/bin/python manage.py reload

.PHONY: manage
manage: $(runtime) ## run manage.py in the same environment: make manage ARGS="migrate"
	@.venv/bin/python manage.py $(ARGS)

# Each process has its own MariaDB and Redis; tests marked `alone` exclude the others (tests/exclusive_tests.py).
PROCESSES ?= 2
in_processes := -n $(PROCESSES) --dist loadfile

.PHONY: test
test: debian-packages .venv/.dev .venv/.full .venv/.bench ## run all tests in PROCESSES (2), each with its own MariaDB and Redis: make test ARGS="-k name"
	@DJANGO_SETTINGS_MODULE=settings.test .venv/bin/python -m pytest $(in_processes) $(ARGS)

.PHONY: test-embedded
test-embedded: .venv/.dev .venv/.bench ## run the same tests on SQLite and Valkey
	@LONGTASKS_TEST_STACK=embedded DJANGO_SETTINGS_MODULE=settings.test .venv/bin/python -m pytest $(in_processes) $(ARGS)

.PHONY: test-pythons
test-pythons: debian-packages .venv/.dev .venv/.full ## test the wheel on each Python of this machine (3.11 to 3.13) with Django 5.2 and 6
	@.ci/pythons

.PHONY: cluster-test
cluster-test: .venv/.dev .venv/.full ## simulate several hosts, kill and disconnect each one under load; writes docs/cluster.md (root)
	@PYTHON=$(PYTHON) .ci/packages cluster
	@.venv/bin/python -m tests.cluster $(ARGS)

.PHONY: cluster-clean
cluster-clean: .venv/.dev ## remove what a killed cluster-test left behind
	@.venv/bin/python -m tests.cluster --clean

.PHONY: chaos
MINUTES ?= 10
chaos: debian-packages .venv/.dev .venv/.full ## inject faults into the real stack, then soak it for MINUTES (10); writes docs/chaos.md
	@DJANGO_SETTINGS_MODULE=settings.test .venv/bin/python -m tests.chaos --minutes $(MINUTES) $(ARGS)

.PHONY: outages
SECONDS_EACH ?= 25
outages: debian-packages .venv/.dev .venv/.full ## make Redis and MariaDB unavailable in several ways, SECONDS_EACH (25) each: no task may fail (root)
	@DJANGO_SETTINGS_MODULE=settings.test .venv/bin/python -m tests.outages --seconds $(SECONDS_EACH) $(ARGS)

.PHONY: rolling-deploy
rolling-deploy: debian-packages .venv/.dev .venv/.full ## replace web, workers and mirror in all six orders at 200 POSTs a second: none may be lost, failed or late
	@DJANGO_SETTINGS_MODULE=settings.test .venv/bin/python -m tests.deploys $(ARGS)

.PHONY: hostile
VALUES ?= 10000
hostile: debian-packages .venv/.dev .venv/.full ## send VALUES (10000) hostile values to every interface, beside ordinary tasks: make hostile ARGS="--seed 2 --stack embedded"
	@DJANGO_SETTINGS_MODULE=settings.test .venv/bin/python -m tests.hostile --values $(VALUES) $(ARGS)

.PHONY: coverage
coverage: debian-packages .venv/.dev .venv/.full .venv/.bench ## run all tests with branch coverage, subprocesses included; at least 90 %
	@rm -f .coverage .coverage.*
	@DJANGO_SETTINGS_MODULE=settings.test .venv/bin/python -m coverage run -m pytest $(in_processes) $(ARGS)
	@.venv/bin/python -m coverage combine -q
	@.venv/bin/python -m coverage report --skip-covered --fail-under=90

.PHONY: fuzz
fuzz: debian-packages .venv/.dev .venv/.full ## run schemathesis with three tokens against a live stack for FUZZ_SECONDS (600)
	@FUZZ_SECONDS=$(or $(FUZZ_SECONDS),600) DJANGO_SETTINGS_MODULE=settings.test .venv/bin/python -m pytest tests/acceptance/test_schemathesis.py -s

.PHONY: check check-style check-types check-imports check-dependencies check-audit check-migrations check-deploy
check: check-style check-types check-imports check-dependencies check-audit check-migrations check-deploy ## check style, types, imports, packages, migrations, settings
# The checks ignore the developer's own settings.
check-%: export ENV_FILE =
check-%: export DATABASE_URL =
check-%: export REDIS_URL =

check-style: .venv/.dev
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .

check-types: .venv/.dev
	.venv/bin/mypy

check-imports: .venv/.dev
	.venv/bin/lint-imports

check-dependencies: .venv/.dev
	@.venv/bin/python .ci/pins --check
	@.venv/bin/python .ci/pins runtime mysql tracing import-export django-tasks >.venv/pins.txt
	@.venv/bin/python .ci/pins dev >.venv/pins-dev.txt
	@.venv/bin/deptry . --config .ci/deptry.toml

check-audit: .venv/.dev
	@.ci/audit

check-migrations: .venv/.dev
	@$(in_data_dir) .venv/bin/python manage.py makemigrations --check --dry-run --settings settings.test

check-deploy: export DEBUG =
check-deploy: export CRASH_POINTS =
check-deploy: export HTTPS_ONLY = 1
check-deploy: export ALLOWED_HOSTS = longtasks.example.com
check-deploy: export DATABASE_URL = sqlite:////nowhere/named-on-purpose.sqlite3
check-deploy: export REDIS_URL = redis://localhost:6379/0
check-deploy: .venv/.dev
	@export SECRET_KEY=$$(.venv/bin/python -c 'import secrets; print(secrets.token_urlsafe(50))'); \
	$(in_data_dir) .venv/bin/python manage.py check --deploy --fail-level WARNING --settings settings.production

.PHONY: bench
bench: debian-packages .venv/.full .venv/.bench ## run all benchmarks, also on the peer in PEER_DIR; writes docs/benchmarks.md (ARGS=--quick: a short run)
	@PYTHON=$(PYTHON) .ci/packages bench
	@.venv/bin/python -m loadtests.bench $(ARGS)

.PHONY: load load-artillery
load: .venv/.embedded .venv/.load ## run k6 against the service on TARGET: make load ARGS="max-rate --png rates.png", see loadtests/
	@.venv/bin/python -m loadtests $(or $(ARGS),responsiveness)

load-artillery: .venv/.embedded .venv/.load ## run the design document's two Artillery files with k6 against TARGET
	@.venv/bin/python -m loadtests artillery loadtests/artillery/responsiveness.yaml $(ARGS)
	@.venv/bin/python -m loadtests artillery loadtests/artillery/gradual.yaml $(ARGS)

.PHONY: load-test
load-test: debian-packages .venv/.dev .venv/.full .venv/.load ## run the design document's Artillery files on a temporary stack; writes docs/load-test.md (5 min, ARGS=--quick: a short run)
	@.venv/bin/python -m loadtests.analysis $(ARGS)

.PHONY: screenshots
screenshots: debian-packages .venv/.dev .venv/.full ## take docs/screenshots from a live stack
	@.venv/bin/python -m tests.browser.screenshots

.PHONY: messages
messages: debian-packages .venv/.dev ## collect the translatable strings into the catalogues (locale/), and compile them
	@for app in tasks_app catalog; do (cd $$app && ../.venv/bin/python -P -m django makemessages -l en -l es --no-location --no-obsolete && \
		for po in locale/*/LC_MESSAGES/django.po; do msgfmt --check-format -o $${po%.po}.mo $$po; done); done

.PHONY: sql
sql: debian-packages .venv/.dev .venv/.full ## after a migration: rewrite catalog/sql/ with a temporary MariaDB
	@.venv/bin/python -m tests.catalog.write_sql

.PHONY: format
format: .venv/.dev ## format the code with ruff, and fix what ruff can fix
	.venv/bin/ruff check --fix .
	.venv/bin/ruff format .

.PHONY: wheel
wheel: .venv/.dev ## build the wheel of tasks_app, for any Django project (docs/install.md), into dist/
	@.venv/bin/python -m hatchling build -t wheel

.PHONY: debian-packages
debian-packages:
	@PYTHON=$(PYTHON) .ci/packages test

.venv/bin/python:
	@PYTHON=$(PYTHON) .ci/packages venv
	@$(PYTHON) -m venv .venv

# Each of these installs a dependency group of pyproject.toml.
install = echo "Installing the packages of $(1)"; $(PYTHON) -P .ci/pins $(1) >.venv/pins.txt && $(PIP) $(2) -r .venv/pins.txt && touch $@

.venv/.embedded: pyproject.toml | .venv/bin/python
	@$(call install,runtime)

.venv/.full: pyproject.toml .venv/.embedded
	@$(call install,mysql)

.venv/.dev: pyproject.toml .venv/.embedded
	@$(call install,dev import-export django-tasks)

.venv/.bench: pyproject.toml .venv/.load
	@$(call install,bench,--no-deps)

.venv/.load: pyproject.toml | .venv/bin/python
	@$(call install,load,--no-deps)
