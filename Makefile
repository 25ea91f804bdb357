# Every target makes .venv by itself and skips what is done. PYTHON chooses the interpreter.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
QUICKSTART := output/quickstart
# What the quickstart trains in: float32, bfloat16, or auto for bfloat16 where the CPU has it.
PRECISION := float32

# Two tests at a time; those of one file in one process, which share what they made.
PYTEST := -m pytest -n 2 --dist loadfile
# What touches Paddle's API; the rest is NumPy, OpenCV and text.
PADDLE26_SUBSET := $(addprefix tests/,commands inference models onednn system training weights)

.PHONY: help quickstart test test-paddle26 test-paddle26-subset check report bench rivals growth soak clean
help:
	@echo "make quickstart   render people, train a small Hourglass, score it, draw it (minutes, CPU)"
	@echo "make test         the whole test suite on the CPU"
	@echo "make test-paddle26  the same on Paddle 2.6.2 and NumPy 1, what GPU users get from PyPI"
	@echo "make test-paddle26-subset  of these the folders that touch Paddle's API"
	@echo "make check        format, lint, types and the tests of the house"
	@echo "make report       the reproduction report from the committed records"
	@echo "make bench        speed and memory beside PyTorch, ONNX Runtime, OpenVINO (benchmarks/README.md), about an hour"
	@echo "make rivals       the environment of these three, which make bench takes where it is there"
	@echo "make soak         broken files, kills, full disks, a long run; three quarters of an hour"
	@echo "make growth       how time and memory grow with size, batch, people and ranks"

$(VENV)/.python:
	@$(PYTHON) -c 'import sys; v = sys.version_info[:2]; sys.exit(0 if (3, 10) <= v <= (3, 12) else \
	  "error: Python 3.10 to 3.12 is needed, this is %d.%d; name one: make PYTHON=python3.11 ..." % v)'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --upgrade pip
	@touch $@

$(VENV)/.runtime: requirements.txt $(VENV)/.python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.txt
	@touch $@

$(VENV)/.dev: requirements-dev.txt requirements-export.txt requirements-demo.txt $(VENV)/.runtime
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements-dev.txt
	@touch $@

quickstart: $(VENV)/.runtime
	@$(BIN)/python -m paddle_pose quickstart --output_dir $(QUICKSTART) --precision $(PRECISION)

test: $(VENV)/.dev
	$(BIN)/python $(PYTEST)

.venv-paddle26/.installed: requirements-paddle26.txt requirements-common26.txt
	$(PYTHON) -m venv .venv-paddle26
	.venv-paddle26/bin/python -m pip install --quiet --disable-pip-version-check -r requirements-paddle26.txt
	@touch $@

test-paddle26: .venv-paddle26/.installed
	.venv-paddle26/bin/python $(PYTEST)

test-paddle26-subset: .venv-paddle26/.installed
	.venv-paddle26/bin/python $(PYTEST) $(PADDLE26_SUBSET)

$(VENV)/.export: requirements-export.txt $(VENV)/.runtime
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements-export.txt
	@touch $@

.venv-rivals/.installed: requirements-rivals.txt requirements-torch.txt
	$(PYTHON) -m venv .venv-rivals
	.venv-rivals/bin/python -m pip install --quiet --disable-pip-version-check \
	  --extra-index-url https://download.pytorch.org/whl/cpu -r requirements-rivals.txt
	@touch $@

rivals: .venv-rivals/.installed

# BENCH="--hrnet DIR …" names the clones of the official repositories.
RIVALS := $(firstword $(wildcard .venv-rivals/bin/python .venv-torch/bin/python))
bench: $(VENV)/.export
	$(BIN)/python -m benchmarks $(if $(RIVALS),--torch_python $(RIVALS)) $(BENCH)
	$(BIN)/python -m benchmarks.readme

growth: $(VENV)/.runtime
	$(BIN)/python -m benchmarks.growth $(GROWTH)

# SOAK="--only fuzz,kills --seed 7" chooses parts and draws.
soak: $(VENV)/.dev
	$(BIN)/python -m reproduce.reliability $(SOAK); status=$$?; $(BIN)/python -m reproduce.report; exit $$status

check: $(VENV)/.dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/python -m pytest tests/test_house.py

report: $(VENV)/.dev
	@$(BIN)/python -m reproduce.report

clean:
	rm -rf $(VENV) .venv-paddle26 output
