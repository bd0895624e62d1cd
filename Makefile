# Two commands do everything: `make demo` and `make test`. Each sets up what it needs in .venv.
# `make docs` rewrites the pages under docs/ and the tables of README.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: setup demo docs test
setup: .venv/.ready

# torch comes first and pinned, so that no later package pulls another build of it. torchvision is
# installed without its dependencies for the same reason.
.venv/.ready: pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --upgrade "pip>=25.1,<26"
	$(BIN)/python -m pip install --quiet torch==2.13.0
	$(BIN)/python -m pip install --quiet --no-deps torchvision==0.28.0
	$(BIN)/python -m pip install --quiet --editable ".[all,sweep]" --group dev
	@$(BIN)/python -c "import torchvision" 2>/dev/null || $(BIN)/python tools/without_operators.py
	touch $@

demo: setup
	$(BIN)/padless demo --out padless-demo

docs: setup
	$(BIN)/python -m tools.pages

test: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/pytest -n 2
