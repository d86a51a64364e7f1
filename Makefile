# Everything on a fresh machine: Python 3.11 or newer and make are all that is needed.
PYTHON ?= python3
UV     := .tools/bin/uv
RUN    := .venv/bin
ARGS   ?=
BASE   ?= docker.io/library/debian:bookworm-slim

.PHONY: help setup browser browse label-studio postgresql demo test spark ceph dist airflow dagster mlflow image fuzz chaos soak faults bench-scale bench-statistics bench-teach bench-picks bench-suspects check format docs site lock clean
.DEFAULT_GOAL := help

help:  ## list the targets
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 18

$(UV):
	@echo "uv: installing into .tools"
	@$(PYTHON) -m venv .tools && .tools/bin/pip install --quiet --disable-pip-version-check uv

.venv/.ready: requirements.lock pyproject.toml | $(UV)
	@echo "environment: installing what requirements.lock names into .venv"
	@test -d .venv || $(UV) venv --quiet --python $(PYTHON) .venv
	@$(UV) pip sync --quiet --compile-bytecode --python $(RUN)/python --require-hashes requirements.lock
	@$(UV) pip install --quiet --python $(RUN)/python --no-deps --editable .
	@touch $@

setup: .venv/.ready  ## make the locked environment in .venv

demo: setup  ## the whole job on real servers: make demo [ARGS=--exit]
	@$(RUN)/labelloop demo $(ARGS)

browser: setup
	@command -v chromium >/dev/null || \
	command -v chromium-browser >/dev/null || command -v google-chrome >/dev/null || { \
	  echo "chromium: installing, for the browser tests"; \
	  if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
	    apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -qq --yes --no-install-recommends chromium; \
	  else echo "  that needs apt-get and root: install Chromium by hand, or those tests fail" >&2; fi; }

# MPL-2.0; only these tests read it, so it lies beside the tools and is no part of the package
.tools/axe.min.js: | setup
	@echo "axe-core: fetching 4.14.1, for the browser tests"
	@command -v npm >/dev/null || { echo "  that needs npm: install it by hand" >&2; exit 1; }
	@cd .tools && npm pack --silent axe-core@4.14.1 >/dev/null && tar xzf axe-core-4.14.1.tgz --strip-components 1 package/axe.min.js
	@cd .tools && echo "29348999450cdf2849a8e70b7912fc2da85a849da39c0d0d5394f51d4a9ed95c  axe.min.js" | sha256sum --check --quiet
	@touch $@

browse: setup browser .tools/axe.min.js  ## every page in Chromium: [ARGS='-k phone'] [LABELLOOP_SCREENSHOTS=folder]
	@$(RUN)/python -m pytest tests/browser/browse_*.py $(ARGS)

label-studio: setup
	@$(RUN)/python -m tests.label_studios

postgresql: setup
	@command -v initdb >/dev/null || ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1 || { \
	  echo "postgresql: installing, for the ledger's tests"; \
	  if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
	    apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -qq --yes --no-install-recommends postgresql; \
	  else echo "  that needs apt-get and root: install PostgreSQL by hand, or those tests fail" >&2; fi; }

test: setup browser postgresql  ## every test, against real servers: make test [ARGS='-k line']
	@OPENBLAS_NUM_THREADS=1 OMP_NUM_THREADS=1 \
	  $(RUN)/python -m pytest --numprocesses $$(($$(nproc) + 1)) --maxprocesses 4 --dist loadgroup $(ARGS)

.spark/.ready: requirements-spark.lock | setup
	@echo "spark: installing what requirements-spark.lock names into .spark"
	@$(UV) pip install --quiet --python $(RUN)/python --target .spark --require-hashes -r requirements-spark.lock
	@touch $@

spark: .spark/.ready  ## the selections on Spark, which is 460 MB and needs Java 17: [ARGS='-k killed']
	@command -v java >/dev/null || { \
	  echo "java: installing, for Spark"; \
	  if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
	    apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -qq --yes --no-install-recommends openjdk-17-jre-headless; \
	  else echo "  that needs apt-get and root: install Java 17 by hand" >&2; fi; }
	@PYTHONPATH=.spark $(RUN)/python -m pytest tests/contract/test_prediction_log.py tests/integration/test_spark.py -k spark --timeout 900 $(ARGS)

ceph: setup  ## the tests of the bucket on a second server, Ceph's RADOS gateway: [ARGS='-k presign']
	@command -v radosgw >/dev/null && command -v ceph-mon >/dev/null && command -v ceph-osd >/dev/null || { \
	  echo "ceph: installing, as an S3 server"; \
	  if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
	    apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -qq --yes --no-install-recommends radosgw ceph-mon ceph-osd; \
	  else echo "  that needs apt-get and root: install radosgw, ceph-mon and ceph-osd by hand" >&2; fi; }
	@LABELLOOP_S3_SERVER=ceph $(RUN)/python -m pytest tests/contract/test_store.py tests/contract/test_notifications.py \
	  tests/integration/test_presign.py tests/integration/test_rights.py tests/integration/test_s3_errors.py \
	  tests/integration/test_loop.py $(ARGS)

dist: setup  ## both wheels, each extra tried in a bare environment in .dist: [ARGS=--write]
	@$(RUN)/python -m tests.dist $(ARGS)

.airflow/.ready: requirements-airflow.lock | setup
	@echo "airflow: installing what requirements-airflow.lock names into .airflow"
	@test -d .airflow || $(UV) venv --quiet --python $(PYTHON) .airflow
	@$(UV) pip sync --quiet --compile-bytecode --python .airflow/bin/python --require-hashes requirements-airflow.lock
	@$(UV) pip install --quiet --python .airflow/bin/python --no-deps --editable .
	@touch $@

airflow: .airflow/.ready  ## the loop by a real Airflow 3, with kills, in an environment of its own
	@.airflow/bin/python -m tests.airflow_loop $(ARGS)

.dagster/.ready: requirements-dagster.lock | setup
	@echo "dagster: installing what requirements-dagster.lock names into .dagster"
	@test -d .dagster || $(UV) venv --quiet --python $(PYTHON) .dagster
	@$(UV) pip sync --quiet --compile-bytecode --python .dagster/bin/python --require-hashes requirements-dagster.lock
	@$(UV) pip install --quiet --python .dagster/bin/python --no-deps --editable .
	@touch $@

dagster: .dagster/.ready  ## the loop by a real Dagster, in an environment of its own
	@.dagster/bin/python -m tests.dagster_loop

.mlflow/.ready: requirements-mlflow.lock | setup
	@echo "mlflow: installing what requirements-mlflow.lock names into .mlflow"
	@test -d .mlflow || $(UV) venv --quiet --python $(PYTHON) .mlflow
	@$(UV) pip sync --quiet --compile-bytecode --python .mlflow/bin/python --require-hashes requirements-mlflow.lock
	@touch $@

mlflow: .mlflow/.ready  ## the loop and a real MLflow 3, in an environment of its own
	@$(RUN)/python -m tests.mlflow_loop

image:  ## our image, built and run as a user without rights: [BASE=localhost/debian:bookworm-slim]
	@command -v buildah >/dev/null && command -v podman >/dev/null || { \
	  echo "image: buildah and podman are needed: apt-get install buildah podman runc" >&2; exit 1; }
	@BASE="$(BASE)" BUILD_ARGS="$(BUILD_ARGS)" RUN_ARGS="$(RUN_ARGS)" deploy/try_image.sh

fuzz: setup  ## a million hostile inputs, about an hour on two cores: [ARGS=--hypothesis-seed=1]
	@LABELLOOP_FUZZ=450 $(RUN)/python -m pytest tests/unit/test_hostile_input.py --numprocesses $$(nproc) \
	  --timeout 14400 --hypothesis-show-statistics $(ARGS)

chaos: setup  ## kill the loop at every point where something changes, on real servers: [ARGS='--every 10', --serve or --desk]
	@$(RUN)/python -m tests.chaos $(ARGS)

soak: setup  ## the same at random points for 30 minutes
	@$(RUN)/python -m tests.chaos --minutes 30 $(ARGS)

faults: setup  ## bad networks before both servers, every kind of fault: [ARGS='--kind 500 --verbose']
	@$(RUN)/python -m tests.faults $(ARGS)

bench-scale: setup  ## index, select, build and send beside their limits: [ARGS='--scale 0.1 --write']
	@$(RUN)/python -m bench.scale $(ARGS)

bench-statistics: setup  ## coverage and labels saved, simulated: [ARGS='--write --runs 400']
	@$(RUN)/python -m bench.estimates $(ARGS)

bench-teach: setup  ## what the picks of training queues gain on random labels: [ARGS='--write --seeds 20']
	@$(RUN)/python -m bench.teach $(ARGS)

bench-picks: setup  ## 1,000 picks of a million rows with embeddings, beside bare statements: [ARGS='--rows 100000']
	@$(RUN)/python -m bench.diverse_scale $(ARGS)

bench-suspects: setup  ## how many of the labels that `datasets suspects` lists are wrong: [ARGS='--write']
	@$(RUN)/python -m bench.label_errors $(ARGS)

check: setup  ## format, lint, types, imports
	@$(RUN)/ruff format --check .
	@$(RUN)/ruff check .
	@$(RUN)/mypy
	@$(RUN)/lint-imports --no-cache

format: setup  ## mend what can be mended
	@$(RUN)/ruff check --fix . ; $(RUN)/ruff format .

docs: setup  ## write the parts of docs/ that the code holds
	@$(RUN)/python docs/generate.py

.sphinx/.ready: requirements-site.lock | setup
	@echo "sphinx: installing what requirements-site.lock names into .sphinx"
	@$(UV) pip install --quiet --python $(RUN)/python --target .sphinx --require-hashes -r requirements-site.lock
	@touch $@

site: docs .sphinx/.ready  ## the documentation as a site in .site; a broken link fails
	@PYTHONPATH=src:.sphinx $(RUN)/python -m sphinx --quiet --fail-on-warning --keep-going -c docs -d .site/.doctrees . .site
	@echo '<meta http-equiv="refresh" content="0; url=README.html">' >.site/index.html
	@echo "site: open .site/index.html"

lock: $(UV)  ## resolve the dependencies afresh into requirements.lock
	@$(UV) pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-annotate --no-header \
	  --all-extras --group dev --no-emit-package pyspark --no-emit-package py4j \
	  pyproject.toml --output-file requirements.lock
	@$(UV) pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-annotate --no-header \
	  --group spark --output-file requirements-spark.lock
	@$(UV) pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-annotate --no-header \
	  --exclude-newer 2026-11-01 --extra demo --group airflow pyproject.toml --output-file requirements-airflow.lock
	@$(UV) pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-annotate --no-header \
	  --exclude-newer 2026-11-01 --group mlflow --output-file requirements-mlflow.lock
	@$(UV) pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-annotate --no-header \
	  --exclude-newer 2026-11-01 --extra demo --group dagster pyproject.toml --output-file requirements-dagster.lock
	@$(UV) pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-annotate --no-header \
	  --constraint requirements.lock --group site --output-file requirements-site.lock

clean:  ## delete the environment and the tools
	rm -rf .venv .tools .spark .sphinx .site .dist .airflow .dagster .mlflow
