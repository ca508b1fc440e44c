# Everything a contributor does, by name; `make` alone lists it.
# PYTHON=python3.13 chooses the interpreter of a new .venv, ARGS="…" goes to the command behind run, test, bench, simulate, mutate, docs.

VENV    := .venv
BIN     := $(VENV)/bin
INSTALL := $(BIN)/python -m pip install -qq --disable-pip-version-check
LOCK    := $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
           --no-annotate --no-header --no-emit-index-url
ARGS    ?=
PROMETHEUS ?= http://127.0.0.1:9090

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help run test check check-deploy format bench contract simulate mutate mutate-core docs dashboards pictures manifests lock clean

help:  ## list these targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

run: $(VENV)/.runtime  ## install what it needs and start everything on this machine
	$(BIN)/reliable-email up $(ARGS)

test: $(VENV)/.tools  ## run all tests, in random order
	$(BIN)/python -m pytest $(ARGS)

check: $(VENV)/.tools  ## judge format, style, types and the laws of the house
	$(BIN)/ruff format --check
	$(BIN)/ruff check
	$(BIN)/mypy
	cd clients/python && ../../$(BIN)/mypy
	$(BIN)/lint-imports

check-deploy: $(VENV)/.deploy  ## judge the manifests of Kubernetes, the image and compose.yaml
	$(BIN)/python -m pytest -m deploy tests/deploy $(ARGS)

format: $(VENV)/.tools  ## put the code in its form
	$(BIN)/ruff check --fix-only --quiet
	$(BIN)/ruff format

bench: $(VENV)/.tools  ## measure this machine; the numbers of README.md come from here
	$(BIN)/python -m tests.bench $(ARGS)

simulate: $(VENV)/.runtime  ## play lives of providers: what our routing does in them, and that of others
	@$(BIN)/reliable-email simulate $(ARGS)

contract: $(VENV)/.tools  ## make 20,000 requests from the contract, and judge every answer by it
	$(BIN)/python -m pytest tests/contract/test_schemathesis.py -s --cases 20000 $(ARGS)

mutate: $(VENV)/.tools  ## change the queue's scripts on purpose, and list the changes that no test notices
	$(BIN)/python -m tests.queue.mutate $(ARGS)

mutate-core: $(VENV)/.tools  ## the same for the pure core's Python
	$(BIN)/python -m tests.mutate $(ARGS)

docs: $(VENV)/.tools  ## write anew what the documentation takes from the code
	$(BIN)/python -m tests.docs $(ARGS)

dashboards: $(VENV)/.tools  ## write anew grafana/dashboards from grafana/source
	$(BIN)/python -m grafana.source

pictures: $(VENV)/.tools  ## draw the dashboards anew for docs/monitoring.md, from a live Prometheus (needs chromium)
	$(BIN)/python -m grafana.pictures.draw $(PROMETHEUS) $(ARGS)

manifests: $(VENV)/.tools  ## write anew what k8s takes from grafana/rules
	$(BIN)/python -m tests.deploy.rules

lock: $(VENV)/.tools  ## choose versions anew (ARGS=--upgrade: the newest) and write all lock files
	$(LOCK) $(ARGS) pyproject.toml --group build --output-file requirements.lock
	$(LOCK) $(ARGS) pyproject.toml --group build --group dev --constraints requirements.lock --output-file requirements-dev.lock
	$(LOCK) $(ARGS) pyproject.toml --extra tracing --group build --constraints requirements-dev.lock --output-file requirements-image.lock
	$(LOCK) $(ARGS) --group deploy --constraints requirements-dev.lock --output-file requirements-deploy.lock

clean:  ## remove what make and the tools made; never ./data
	rm -rf $(VENV) clients/typescript/node_modules clients/typescript/build clients/typescript/dist grafana/pictures/node_modules grafana/pictures/dist dist mutants .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache
	find reliable_email services shared tests clients -name __pycache__ -type d -prune -exec rm -rf {} +

# A package comes only as a wheel, and only with a hash that stands in the lock; so does what builds our own.
$(VENV)/.runtime: requirements.lock pyproject.toml | $(BIN)/python
	@echo 'Installing what $< names into $(VENV)'
	@$(INSTALL) --only-binary :all: --require-hashes -r $<
	@$(INSTALL) --no-build-isolation --no-deps --editable .
	@touch $@

$(VENV)/.tools: requirements-dev.lock pyproject.toml | $(BIN)/python
	@echo 'Installing what $< names into $(VENV)'
	@$(INSTALL) --only-binary :all: --require-hashes -r $<
	@$(INSTALL) --no-build-isolation --no-deps --editable .
	@touch $(VENV)/.runtime $@

$(VENV)/.deploy: requirements-deploy.lock $(VENV)/.tools
	@echo 'Installing what $< names into $(VENV)'
	@$(INSTALL) --only-binary :all: --require-hashes -r $<
	@touch $@

# The first Python on the path that starts, is one of those the wheels are locked for, and can make an environment.
$(BIN)/python:
	@for python in $(PYTHON) python3 python3.14 python3.13 python3.12 python3.11; do \
	  if $$python -c 'import ensurepip, sys, venv; sys.exit(not (3, 11) <= sys.version_info < (3, 15))' 2>/dev/null; then \
	    exec $$python -m venv --clear $(VENV); \
	  fi; \
	done; \
	echo 'Python 3.11 to 3.14 with its module venv is needed (on Debian: python3 and python3-venv).' >&2; exit 1
