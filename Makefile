# Every way to run, test and check longtasks. `make help` lists them. Needs python3 (3.11 or newer) and make.

.DEFAULT_GOAL := help
SHELL := /bin/bash
PYTHON ?= python3
ARGS ?=
PIP := .venv/bin/python -m pip install -qq --disable-pip-version-check

# The MySQL driver is built from source: only who names a MySQL database needs it.
database_url := $(or $(DATABASE_URL),$(shell sed -n "s/^[[:space:]]*DATABASE_URL=[\"']\{0,1\}//p" .env 2>/dev/null))
runtime := $(if $(filter mysql:% mariadb:%,$(database_url)),.venv/.full,.venv/.embedded)

.PHONY: help
help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-15s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: demo
demo: .venv/.embedded ## start the embedded stack, run two uploads, compare the counts, stop
	@.venv/bin/python manage.py demo

.PHONY: up
up: $(runtime) ## serve on PORT (3000) with WORKERS (2) until Ctrl-C
	@.venv/bin/python manage.py up

.PHONY: manage
manage: $(runtime) ## manage.py in the same environment: make manage ARGS="migrate"
	@.venv/bin/python manage.py $(ARGS)

.PHONY: test
test: debian-packages .venv/.dev .venv/.full ## all tests on a MariaDB and a Redis of their own: make test ARGS="-k name"
	@DJANGO_SETTINGS_MODULE=settings.test .venv/bin/python -m pytest $(ARGS)

.PHONY: test-embedded
test-embedded: .venv/.dev ## the same tests on SQLite and Valkey
	@LONGTASKS_TEST_STACK=embedded DJANGO_SETTINGS_MODULE=settings.test .venv/bin/python -m pytest $(ARGS)

.PHONY: check
check: .venv/.dev ## lint, types, import contracts, migrations, production settings
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/mypy
	.venv/bin/lint-imports
	@data_dir=$$(mktemp -d) && trap 'rm -rf "$$data_dir"' EXIT && set -ex && \
	export DATA_DIR="$$data_dir" ENV_FILE= DATABASE_URL= REDIS_URL= && \
	.venv/bin/python manage.py makemigrations --check --dry-run --settings settings.test && \
	SECRET_KEY=$$(.venv/bin/python -c 'import secrets; print(secrets.token_urlsafe(50))') \
	ALLOWED_HOSTS=longtasks.example.com DEBUG=0 CRASH_POINTS= HTTPS_ONLY=1 \
	.venv/bin/python manage.py check --deploy --fail-level WARNING --settings settings.production

.PHONY: format
format: .venv/.dev ## let ruff format and fix what it can
	.venv/bin/ruff check --fix .
	.venv/bin/ruff format .

.PHONY: debian-packages
debian-packages:
	@PYTHON=$(PYTHON) .ci/packages test

.venv/bin/python:
	@PYTHON=$(PYTHON) .ci/packages venv
	@$(PYTHON) -m venv .venv

.venv/.embedded: requirements-embedded.txt | .venv/bin/python
	@echo "Installing $<"
	@$(PIP) -r $<
	@touch $@

.venv/.full: requirements.txt .venv/.embedded
	@echo "Installing $<"
	@$(PIP) -r $<
	@touch $@

.venv/.dev: requirements-dev.txt .venv/.embedded
	@echo "Installing $<"
	@$(PIP) -r $<
	@touch $@

.venv/.load: requirements-load.txt | .venv/bin/python
	@echo "Installing $<"
	@$(PIP) --no-deps -r $<
	@touch $@
