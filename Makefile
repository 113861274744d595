# make demo: from a bare clone to a trained, explained network.  make test: the tests.
# Both need Python 3.11 or newer and nothing else; the first call makes .venv and installs into it.

.DEFAULT_GOAL := help
.PHONY: help demo check format test test-slow faults matrix engines tables tables-check gallery studies clean
SHELL := /bin/sh
PYTHON ?= $(shell command -v python3.11 || command -v python3)
BIN := .venv/bin
READY := .venv/.ready
DEMO := runs/demo

help: ## Show the targets
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 12

$(READY): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "convatlas needs Python 3.11 or newer; name one: make $(MAKECMDGOALS) PYTHON=python3.12"; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@echo "Installing convatlas into .venv (once, about a minute) ..."
	@$(BIN)/python -m pip install -qq -c constraints.txt -e '.[dev]'
	@touch $@

demo: $(READY) ## Train LeNet-5 on real digits, test it, explain it
	@$(BIN)/convatlas show lenet5_modern
	@$(BIN)/convatlas claims lenet5_modern
	@$(BIN)/convatlas train lenet5_modern --data digits --seeds 5 --out $(DEMO) \
		$(if $(wildcard $(DEMO)/config.json),--resume)
	@$(BIN)/convatlas predict $(DEMO) examples/images/digit-3.png
	@$(BIN)/convatlas visualize gradcam $(DEMO) examples/images/digit-3.png --out $(DEMO)/gradcam.png
	@echo
	@echo "Open the report:  $(DEMO)/report.html"
	@echo "Then try:         $(BIN)/convatlas show resnet50"
	@echo "                  $(BIN)/convatlas claims vgg16"
	@echo "                  $(BIN)/convatlas train resnet20_cifar --data digits --epochs 5"

check: $(READY) ## Format, lint, types, layers
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/ty check
	@$(BIN)/lint-imports

format: $(READY) ## Rewrite the code in the project's format
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

test: $(READY) ## The tests; four minutes on two cores
	@$(BIN)/python -m pytest -n 2

test-slow: $(READY) ## The tests and the slow ones
	@$(BIN)/python -m pytest -n 2 -m "slow or not slow"

faults: $(READY) ## Inject every fault of the list, often: kills, full disks, damage, no memory, ...
	@$(BIN)/python -m pytest -n 2 -m "slow or not slow" tests/faults

matrix: $(READY) ## Every method of visualize on every classifier; a part of test-slow
	@$(BIN)/python -m pytest -n 2 -m "slow or not slow" tests/visualize/test_explanations_of_all.py \
		tests/visualize/test_looks_of_all.py

engines: $(READY) ## Every network on every engine; a part of test-slow
	@$(BIN)/python -m pytest -n 2 -m "slow or not slow" tests/engines/test_every_network.py

tables: $(READY) ## Renew the tables and pictures of the README and the docs
	@$(BIN)/python docs/tables.py

tables-check: $(READY) ## Say which of them are out of date
	@$(BIN)/python docs/tables.py --check

gallery: $(READY) ## Draw a picture by each method of visualize; trains two small networks
	@$(BIN)/python docs/gallery.py

STUDIES ?= # such as --root FOLDER, where the images lie
studies: $(READY) ## Redo the papers' experiments and their page; hours, goes on where it was stopped
	@$(BIN)/convatlas study --all --resume $(STUDIES) || test $$? -eq 1
	@$(BIN)/python docs/studies_page.py runs/studies

clean: ## Remove what the other targets made, but not runs/
	@rm -rf .venv dist .pytest_cache .ruff_cache .hypothesis .import_linter_cache
