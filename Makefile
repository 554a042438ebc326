# make       the environment, then the 70,000 images clustered four ways, scored and drawn: output/index.html
# make test  everything that CI checks
# make lab   the notebooks in JupyterLab
# make bench what everything costs, beside other programs: bench/RESULTS.md
# make docs  the site, in _docs/index.html
# make dist  the package for an index, in dist/
PYTHON ?= $(shell command -v python3.11 || echo python3)
BIN := .venv/bin
RUNS := kmeans pixels dbscan ward
JOBS ?= $(shell n=$$(getconf _NPROCESSORS_ONLN); echo $$((n < 4 ? n : 4)))
TOGETHER := $(if $(filter output-sync,$(.FEATURES)),--output-sync=target)

# several processes fill the cores: in each, threads of NumPy and scikit-learn would only wait for each other
run test: export OMP_NUM_THREADS := $(or $(OMP_NUM_THREADS),1)

# $(call step,what,command): say what begins, do it, say how many seconds it took; a command that fails ends make
define step
@echo '[make] $(1)'
@start=$$(date +%s); $(2) && echo "[make] $(1): $$(( $$(date +%s) - start )) s"
endef

.PHONY: run test lint lab docs dist export readme figures bench

# each run is a folder of its own; as many run at a time as there are cores, and what each says is shown at its end
run: .venv/ready
	@echo '[make] $(RUNS): $(JOBS) at a time; the first time, one trains a network and two wait for it'
	@$(MAKE) --no-print-directory --jobs=$(JOBS) $(TOGETHER) $(RUNS:%=output/%/scores.json)
	$(call step,the scores side by side,$(BIN)/mnist_scores $(RUNS:%=output/%) --page output/index.html)
	@echo 'open file://$(CURDIR)/output/index.html'

output/%/scores.json: $(wildcard mnist_clustering/*.py) | .venv/ready
	$(call step,mnist_cluster $(OPTIONS) --out output/$*,$(BIN)/mnist_cluster $(OPTIONS) --out output/$*)

output/kmeans/scores.json: OPTIONS = --features cnn --clusterer kmeans --n_clusters auto
output/dbscan/scores.json: OPTIONS = --features cnn --clusterer dbscan
output/ward/scores.json: OPTIONS = --features cnn --clusterer ward --n_clusters auto
output/pixels/scores.json: OPTIONS = --features pixels --clusterer kmeans

# uv installs in seconds what pip takes minutes for; compiled once, a command starts in half the time
INSTALL = $(BIN)/uv pip install --quiet --compile-bytecode --python $(BIN)/python --editable

.venv/ready: settings.ini setup.py
	@$(PYTHON) -c 'import sys; sys.version_info >= (3, 11) or sys.exit("Python 3.11 or newer is needed: make PYTHON=python3.11")'
	$(call step,a new environment in .venv,$(PYTHON) -m venv .venv)
	$(call step,uv,$(BIN)/python -m pip install --quiet --disable-pip-version-check uv)
	$(call step,the package,$(INSTALL) '.[networks]')
	@touch $@

# for all but the runs
.venv/tools: .venv/ready
	$(call step,the tools,$(INSTALL) '.[dev]')
	@touch $@

test: .venv/tools
	$(MAKE) export readme
	git diff --stat -- nbs mnist_clustering README.md
	test -z "$$(git status --porcelain -- nbs mnist_clustering README.md)" # what is committed is what the notebooks make
	$(MAKE) lint
	$(call step,every notebook run,$(BIN)/nbdev_test --n_workers $(JOBS) --do_print --timing)
	$(call step,the tests,$(BIN)/pytest --numprocesses=$(JOBS) --dist=loadfile --no-loadscope-reorder --durations=15 tests)

lint: .venv/tools
	$(call step,ruff,$(BIN)/ruff check)

# the notebooks are the source: the package and the README are made from them
export: .venv/tools
	$(call step,notebooks to package,$(BIN)/nbdev_export && $(BIN)/python docs/clean.py && $(BIN)/nbdev_clean)

readme: .venv/tools
	$(call step,README.md from nbs/index.ipynb,$(BIN)/python docs/readme.py)

docs: .venv/tools
	$(call step,the site,$(BIN)/python docs/site.py)
	@echo 'open file://$(CURDIR)/_docs/index.html'

# in a container one is root, which JupyterLab has to be told
lab: .venv/tools
	$(BIN)/jupyter lab $(if $(filter 0,$(shell id -u)),--allow-root) --ServerApp.root_dir=$(CURDIR) --LabApp.default_url=/lab/tree/nbs

dist: .venv/tools
	rm -rf dist
	$(call step,sdist and wheel,$(BIN)/python -m build --installer uv)
	$(call step,their metadata,$(BIN)/twine check --strict dist/*)

# the five-seed table of the README, ten minutes on two cores
figures: .venv/tools
	$(call step,five seeds,$(BIN)/python bench/figures.py)

# the original, other libraries and the limit of the machine side by side, 35 minutes on two cores: bench/RESULTS.md
bench: .venv/ready .venv-bench/ready
	$(call step,the benchmark,$(BIN)/python bench/run.py)

# other libraries live in an environment of their own: some are AGPL, and one brings gigabytes of PyTorch
.venv-bench/ready: bench/requirements-peers.txt | .venv/ready
	$(call step,an environment for other libraries in .venv-bench,$(PYTHON) -m venv --without-pip .venv-bench)
	$(call step,other libraries,$(BIN)/uv pip install --quiet --python .venv-bench/bin/python -r bench/requirements-peers.txt)
	$(call step,their first import,.venv-bench/bin/python -c 'import clustpy.deep; import evoc; import hdbscan')
	@touch $@
