# make       the environment, then the digits clustered, scored and drawn in output/
# make test  everything that CI checks
# make lab   the notebooks in JupyterLab
# make docs  the site, in _docs/index.html
# make dist  the package for an index, in dist/
PYTHON ?= $(shell command -v python3.11 || echo python3)
BIN := .venv/bin

.PHONY: run test lab docs dist export readme figures

run: .venv/ready output/pixels/scores.json output/dbscan/scores.json output/ward/scores.json
	$(BIN)/mnist_cluster --n_clusters auto --out output
	$(BIN)/mnist_scores output output/dbscan output/ward output/pixels

output/%/scores.json: $(wildcard mnist_clustering/*.py) | .venv/ready
	$(BIN)/mnist_cluster $(OPTIONS) --out output/$*

output/pixels/scores.json: OPTIONS = --features pixels
output/dbscan/scores.json: OPTIONS = --clusterer dbscan
output/ward/scores.json: OPTIONS = --clusterer ward --n_clusters auto

# uv installs in seconds what pip takes minutes for; compiled once, a command starts in half the time
.venv/ready: settings.ini setup.py
	$(PYTHON) -c 'import sys; sys.version_info >= (3, 11) or sys.exit("Python 3.11 or newer is needed: make PYTHON=python3.11")'
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check uv
	$(BIN)/uv pip install --quiet --compile-bytecode --python $(BIN)/python --editable '.[dev]'
	touch $@

test: .venv/ready
	$(MAKE) export readme
	git diff --stat -- nbs mnist_clustering README.md
	test -z "$$(git status --porcelain -- nbs mnist_clustering README.md)" # what is committed is what the notebooks make
	$(BIN)/nbdev_test --n_workers 2 --do_print --timing
	$(BIN)/pytest tests

# the notebooks are the source: the package and the README are made from them
export: .venv/ready
	$(BIN)/nbdev_export
	$(BIN)/python docs/clean.py
	$(BIN)/nbdev_clean

readme: .venv/ready
	$(BIN)/python docs/readme.py

docs: .venv/ready
	$(BIN)/python docs/site.py

lab: .venv/ready
	$(BIN)/jupyter lab nbs

dist: .venv/ready
	rm -rf dist
	$(BIN)/python -m build --installer uv
	$(BIN)/twine check --strict dist/*

# the five-seed table of the README, about an hour on two cores
figures: .venv/ready
	$(BIN)/python bench/figures.py
