# Two commands do everything: `make demo` and `make test`. Each sets up what it needs in .venv.
# `make docs` builds the documentation site into site/. `make pages` rewrites the pages under docs/ that are made from results,
# and the tables of README. `make fuzz MINUTES=15` tries hostile and unlucky inputs.
# `make dist`, `make try`, `make sbom`, `make licences` and `make lock` are for releases: see CONTRIBUTING.md.
PYTHON ?= python3
BIN := .venv/bin
MINUTES ?= 15
SEED ?= 0
TOOLS := .venv/tools
EPOCH := $(or $(SOURCE_DATE_EPOCH),$(shell git log -1 --format=%ct 2>/dev/null || echo 1577836800))

.PHONY: setup demo docs pages test fuzz dist try sbom licences lock
setup: .venv/.ready

# torch and torchvision come first, pinned by version: their builds (CPU, CUDA) differ in their files. All else is installed as
# requirements/dev.lock says, file by file with its hash, and nothing beside that.
.venv/.ready: pyproject.toml requirements/torch.txt requirements/dev.lock
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --upgrade "pip>=25.1,<26"
	$(BIN)/python -m pip install --quiet $$(grep '^torch=' requirements/torch.txt)
	$(BIN)/python -m pip install --quiet --no-deps $$(grep '^torchvision=' requirements/torch.txt)
	$(BIN)/python -m pip install --quiet --no-deps --require-hashes -r requirements/dev.lock
	$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation --editable .
	@$(BIN)/python -c "import torchvision" 2>/dev/null || $(BIN)/python tools/without_operators.py
	touch $@

demo: setup
	$(BIN)/padless demo --out padless-demo

docs: setup
	$(BIN)/python -m tools.site

pages: setup
	$(BIN)/python -m tools.pages

test: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/pytest -n 2 --dist worksteal

fuzz: setup
	$(BIN)/python -m tests.fuzz --minutes $(MINUTES) --seed $(SEED) --kills 30

# The wheel depends on the commit alone: it is built twice and compared.
dist: setup
	rm -rf dist/one dist/two
	SOURCE_DATE_EPOCH=$(EPOCH) $(BIN)/python -m hatchling build -t wheel -d dist/one
	SOURCE_DATE_EPOCH=$(EPOCH) $(BIN)/python -m hatchling build -t wheel -d dist/two
	cmp dist/one/*.whl dist/two/*.whl
	mv dist/one/*.whl dist/ && rm -rf dist/one dist/two
	cd dist && sha256sum *.whl

# The wheel in an empty environment runs the demo.
try: dist
	rm -rf .venv/try && $(PYTHON) -m venv .venv/try
	.venv/try/bin/python -m pip install --quiet $$(grep '^torch=' requirements/torch.txt)
	.venv/try/bin/python -m pip install --quiet "$$(ls -t dist/*.whl | head -1)[vela,tflite,data]"
	cd .venv/try && bin/padless demo --out demo && test -s demo/model.tflite
	rm -rf .venv/try

sbom: setup $(TOOLS)
	$(TOOLS)/bin/python -m pip install --quiet "cyclonedx-bom>=7,<8"
	mkdir -p dist
	$(TOOLS)/bin/cyclonedx-py environment --pyproject pyproject.toml --output-reproducible -o dist/padless.cdx.json $(BIN)/python

licences: setup
	$(BIN)/python -m tools.licences

lock: $(TOOLS)
	$(TOOLS)/bin/python -m pip install --quiet "uv>=0.9,<0.10"
	$(TOOLS)/bin/python -m tools.lock

$(TOOLS):
	$(PYTHON) -m venv $(TOOLS)
