# The commands of the course. `make` alone lists them.

PORT ?= 8888
export TORCH_INDEX

# The first of these that is new enough; tools/environment.py says so where none is.
PYTHON ?= $(shell for p in python3 python3.11 python3.12 python3.13 python3.14 python; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && { echo $$p; exit; }; done; echo python3)

BIN := .venv/bin
# Root (a container) has to be told twice, and a server wants no browser.
LAB_FLAGS := --ServerApp.root_dir=. --LabApp.default_url=/lab/tree/lessons --port=$(PORT) \
	$(if $(filter no,$(BROWSER)),--no-browser) $(if $(filter 0,$(shell id -u)),--allow-root)

# Four, as they often wait for a kernel to start. A notebook's cells stay together, in one kernel of one worker.
WORKERS := -n 4 --dist loadfile

.PHONY: help env cuda lab test test-fast lint notebooks release clean

help:
	@echo "make lab          make the environment if it is missing, and open the lessons in JupyterLab"
	@echo "                  (PORT=8888, BROWSER=no for a server, TORCH_INDEX=... for another build of torch)"
	@echo "make test         run every test: library, lessons, grading"
	@echo "make test-fast    library and grading only, for the inner loop"
	@echo "make cuda         add Numba's CUDA compiler (about 680 MB), which needs no GPU"
	@echo "make lint         ruff over the code and the notebooks"
	@echo "make notebooks    run the lessons and the solutions and store their outputs"
	@echo "make release      make exercises/ from solutions/"
	@echo "make clean        remove the environment and what tests left"

env:
	@command -v $(PYTHON) >/dev/null 2>&1 || { \
		echo "coursekit: Python 3.11 or newer is needed, and there is no $(PYTHON); install it, or name it: make PYTHON=..." >&2; exit 1; }
	@$(PYTHON) tools/environment.py

cuda: env
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable ".[cuda]"

lab: env
	@echo "JupyterLab is starting on lessons/; stop it with Ctrl-C."
	@$(BIN)/jupyter lab $(LAB_FLAGS)

# What times real code (marked alone) comes second, with nothing else at work.
test: env
	$(BIN)/python -m pytest $(WORKERS) -rs -m "not alone" --nbval-lax --nbval-current-env lessons tests solutions exercises
	$(BIN)/python -m pytest -m alone tests

test-fast: env
	$(BIN)/python -m pytest $(WORKERS) -rs -m "not slow and not alone" tests

lint: env
	$(BIN)/ruff check . && $(BIN)/ruff format --check .

notebooks: env
	$(BIN)/python tools/run_notebooks.py

release: env
	$(BIN)/coursekit release

clean:
	rm -rf .venv .pytest_cache .ruff_cache .hypothesis coursekit.egg-info
