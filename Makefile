# Every habit is one word.  `make demo` and `make test` set up everything they need in .venv first.
PYTHON ?= python3
VENV   ?= .venv
RUN     = $(VENV)/bin/python
STAMP   = $(VENV)/.installed

.PHONY: help demo test lint derivations bench docs kernels clean

help:
	@echo "make demo   train a small CNN on real scans, draw its graph, check every gradient; results in out/"
	@echo "make test   lint, types and all tests"
	@echo "make lint   ruff and mypy"
	@echo "make derivations  check every formula of five course reports; tables and pictures in out/derivations/"
	@echo "make bench  time the engine against PyTorch, MyGrad, autograd and DeZero, where installed"
	@echo "make kernels  compile the kernels ahead; after a change to their sources"
	@echo "make docs   the reference of every name and op as HTML, in out/docs/, and what of PyTorch is here, docs/coverage.md"
	@echo "make clean  remove everything that was made"

$(STAMP): setup.cfg pyproject.toml
	$(PYTHON) -c "import sys; sys.exit(sys.version_info < (3, 10) and 'tinygrad_edu needs Python 3.10 or newer')"
	$(PYTHON) -m venv $(VENV)
	$(RUN) -m pip install --quiet --disable-pip-version-check -e ".[dev]"
	@touch $(STAMP)

demo: $(STAMP)
	$(RUN) demos/tour.py

lint: $(STAMP)
	$(RUN) -m ruff check .
	$(RUN) -m ruff format --check .
	$(RUN) -m mypy

test: lint
	$(RUN) -m pytest -n auto

derivations: $(STAMP)
	$(RUN) demos/derivations/check.py

bench: $(STAMP)
	$(RUN) -m benchmarks

docs: $(STAMP)
	$(RUN) docs/make_docs.py out/docs
	$(RUN) -m tinygrad_edu.coverage docs/coverage.md

kernels: $(STAMP)
	$(RUN) -m tinygrad_edu.kernels.compiled.build

clean:
	rm -rf $(VENV) out build dist *.egg-info .hypothesis .mypy_cache .pytest_cache .ruff_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
