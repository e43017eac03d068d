# make run    set up once, fetch the pinned sources, run the notebooks in order
# make test   lint, unit tests, every notebook in the smoke profile
# make bench  measurements that take longer; without ARGS= it lists them
# make lab    open JupyterLab at copies of your own, without outputs, solutions and guesses
#
# ARGS= goes to the runner:  make run ARGS="--profile smoke --from 02"
# TORCH=cpu|cuda|rocm takes PyTorch from its own wheel index; without it, pip takes what it finds.

PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
TORCH  ?=
EDITABLE := -e packages/labjournal -e packages/mrclean

INDEX_cpu  := https://download.pytorch.org/whl/cpu
INDEX_cuda := https://download.pytorch.org/whl/cu130
INDEX_rocm := https://download.pytorch.org/whl/rocm7.2
ifneq ($(TORCH),)
ifeq ($(INDEX_$(TORCH)),)
$(error TORCH=$(TORCH) is not known; choose cpu, cuda or rocm)
endif
endif

BASE := $(VENV)/.base-$(TORCH)
DEV  := $(VENV)/.dev-$(TORCH)

.PHONY: run test bench lab
run: $(BASE)
	$(BIN)/python -m helpers.run $(ARGS)

test: $(DEV)
	$(BIN)/python -m ruff check
	$(BIN)/python -m ruff format --check
	$(BIN)/python -m pytest

bench: $(DEV)
	$(BIN)/python -m tests.bench $(ARGS)

lab: $(BASE)
	$(BIN)/python -m helpers.lab

# setup.json tells the runner how long the set-up took; it goes into the journal.
$(BASE): pyproject.toml constraints.txt $(wildcard packages/*/pyproject.toml)
	@$(PYTHON) -c 'import sys; v = sys.version_info; sys.exit(None if v >= (3, 11) else f"Python 3.11 or newer is needed, $(PYTHON) is {v.major}.{v.minor}; name another with PYTHON=")'
	@date +%s > .setup-started
	@echo "setting up $(VENV), once; this downloads PyTorch and takes a few minutes"
	$(PYTHON) -m venv $(VENV)
	$(if $(TORCH),$(BIN)/python -m pip install -q --disable-pip-version-check -c constraints.txt torch --index-url $(INDEX_$(TORCH)))
	$(BIN)/python -m pip install -q --disable-pip-version-check -c constraints.txt $(EDITABLE) -e .
	@echo "{\"seconds\": $$(( $$(date +%s) - $$(cat .setup-started) ))}" > $(VENV)/setup.json
	@rm -f .setup-started
	@touch $@

$(DEV): $(BASE)
	$(BIN)/python -m pip install -q --disable-pip-version-check -c constraints.txt $(EDITABLE) -e '.[dev]'
	@touch $@
