# Everything a change needs, one command each; `make` alone lists them. CONTRIBUTING.md has the story.
#
# A fresh machine needs Python 3.8 or newer, a C compiler and make. Where no Go is on PATH that satisfies go.mod, one is
# installed from PyPI under .cache/, as are the linters and the environments of the tests.

SHELL := /bin/sh
PYTHON ?= python3
TOOLS := internal/tools
CACHE := .cache
BINARY := build/gowsgi

# Looked up at first use, so that `make help` stays instant. No toolchain but the one found is ever downloaded by go.
GO = $(eval GO := $$(or $$(shell $(PYTHON) $(TOOLS)/golang.py),$$(error no Go toolchain)))$(GO)
GOFMT = $(dir $(GO))gofmt
export GOTOOLCHAIN := local
export CGO_ENABLED := 1
GOBUILD := -buildvcs=false -trimpath
# go looks for gcc only; make's cc will do.
ifeq ($(origin CC),default)
ifeq ($(shell command -v gcc 2>/dev/null),)
export CC := cc
endif
endif

STATICCHECK := honnef.co/go/tools/cmd/staticcheck@v0.8.2
RUFF := ruff==0.17.5
CLANG_FORMAT := clang-format==22.1.8
MYPY := mypy==2.4.1

export GOWSGI_BINARY := $(abspath $(BINARY))
export GOWSGI_PYTHONS := $(abspath $(CACHE)/interpreters.json)
# Its real name: pytest compares its own path with those in interpreters.json.
MAIN_PYTHON = $(CACHE)/venvs/$$(readlink $(CACHE)/venvs/main)/bin/python

# Narrow what is run: make pytest TESTS=pytests/cli ARGS='-k port -x'; make gotest PKG=./reactor ARGS='-run Timer'.
ARGS ?=
TESTS ?= pytests
PKG ?= ./...
FUZZTIME ?= 30s
# Processes of pytest at a time; they use half a core each.
SHARDS ?= 4
# Options of the benchmarks.
BENCH ?=
# Address of `make run`.
BIND ?= 127.0.0.1:8000

GO_SOURCES := go.mod go.sum $(shell find cmd reactor httpparse bridge internal python/ext \
	\( -name '*.go' -o -name '*.[ch]' \) ! -name '*_test.go' 2>/dev/null)
PY_SOURCES := setup.py pyproject.toml $(wildcard README.md LICENSE $(TOOLS)/*.py) $(shell find python/gowsgi -name '*.py*' ! -name '*.pyc')

.PHONY: help build binary wheel run envs test gotest pytest cold test-next test-fresh lint format fuzz race cgocheck sanitize bench bench-beside bench-mongrel2 bench-workers bench-micro mutate test-autobahn check clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

build: binary wheel ## the binary build/gowsgi and the wheel in dist/

binary:
	$(GO) build $(GOBUILD) -o $(BINARY) ./cmd/gowsgi

# pip's build environment comes from PyPI each time, so the wheel is made only when something in it changed.
wheel: build/wheel.made

build/wheel.made: $(GO_SOURCES) $(PY_SOURCES)
	@mkdir -p build dist
	rm -rf build/lib* build/bdist.* build/wheel dist/gowsgi_server-*.whl
	python=$$($(PYTHON) $(TOOLS)/pyenvs.py tool build 'pip>=23.1') && \
		GOWSGI_GO=$(GO) $$python -m pip wheel --quiet --no-deps --wheel-dir dist .
	@ls -1 dist/gowsgi_server-*.whl | tee $@

run: build ## build everything and serve an example at BIND
	@python=$$($(PYTHON) $(TOOLS)/pyenvs.py example --wheel dist/gowsgi_server-*.whl) && \
		echo "serving examples/hello.py at http://$(BIND)/ (ctrl-C stops)" && \
		exec $(BINARY) --python $$python --bind $(BIND) examples/hello.py

envs: wheel
	@$(PYTHON) $(TOOLS)/pyenvs.py test --wheel dist/gowsgi_server-*.whl >/dev/null

test: build envs ## all tests: Go's, then the live suite over binary and pip form, on every CPython found
	@$(MAKE) --no-print-directory gotest
	@$(MAKE) --no-print-directory pytest
	@$(MAKE) --no-print-directory cold

gotest: ## Go's tests only; PKG and ARGS narrow them
	GOWSGI_TEST_PYTHON=$$(ls $(abspath $(CACHE))/venvs/main/bin/python 2>/dev/null) \
		$(GO) test $(GOBUILD) -timeout 10m $(PKG) $(ARGS)

pytest: build envs ## the live suite only; TESTS and ARGS narrow it
	$(PYTHON) $(TOOLS)/shards.py $(SHARDS) $(MAIN_PYTHON) -m pytest $(TESTS) $(ARGS)

# What a request leaves behind for the next one to use (header keys and values, spare objects) must change nothing.
cold: build envs ## the live suite's core with every cache forced cold
	GOWSGI_COLD=1 GOWSGI_FORMS=binary GOWSGI_PYTHONS= \
		$(PYTHON) $(TOOLS)/shards.py $(SHARDS) $(MAIN_PYTHON) -m pytest -q -m core $(TESTS) $(ARGS)

test-next: build ## the suite's core under CPython 3.14 and 3.15 in a Debian sid root (root and debootstrap needed)
	$(PYTHON) $(TOOLS)/sidroot.py --binary $(BINARY) --wheel dist/gowsgi_server-*.whl $(if $(IF_POSSIBLE),--if-possible) -- $(ARGS)

# Not on what this machine has: no Go, one Python, no libraries but those that the README asks for.
test-fresh: ## both commands of the README in a minimal Debian 12 root (root and debootstrap needed)
	$(PYTHON) $(TOOLS)/freshroot.py $(if $(IF_POSSIBLE),--if-possible) $(if $(CORE),--core)

# In bridge/internal/cpy an address of C's or Python's is a uintptr on the Go side, so that the collector never looks at
# it; turning it back is what vet's unsafeptr warns of.
lint: ## gofmt, go vet (darwin too), staticcheck, ruff, mypy, clang-format
	@echo gofmt; wrong=$$($(GOFMT) -l $$(git ls-files -co --exclude-standard '*.go')); \
		test -z "$$wrong" || { echo "not formatted, run make format: $$wrong"; exit 1; }
	$(GO) vet $$($(GO) list ./... | grep -v '/internal/cpy$$')
	$(GO) vet -unsafeptr=false ./bridge/internal/cpy
	GOOS=darwin GOARCH=arm64 CGO_ENABLED=0 $(GO) vet ./reactor ./httpparse
	$(GO) run $(STATICCHECK) ./...
	@python=$$($(PYTHON) $(TOOLS)/pyenvs.py tool lint $(RUFF) $(CLANG_FORMAT) $(MYPY)) && bin=$$(dirname $$python) && set -x && \
		$$bin/ruff check . && $$bin/ruff format --check . && \
		MYPYPATH=python $$bin/mypy --strict --cache-dir .cache/mypy python/gowsgi testdata/typing && \
		$$bin/clang-format --dry-run --Werror $$(git ls-files -co --exclude-standard '*.[ch]')

format: ## rewrite the sources the way lint wants them
	$(GOFMT) -w $$(git ls-files -co --exclude-standard '*.go')
	@python=$$($(PYTHON) $(TOOLS)/pyenvs.py tool lint $(RUFF) $(CLANG_FORMAT) $(MYPY)) && bin=$$(dirname $$python) && set -x && \
		$$bin/ruff check --fix . && $$bin/ruff format . && \
		$$bin/clang-format -i $$(git ls-files -co --exclude-standard '*.[ch]')

fuzz: ## every fuzz test for FUZZTIME (30s) each
	@for package in $$($(GO) list $(PKG)); do \
		for name in $$($(GO) test $(GOBUILD) -list '^Fuzz' $$package | grep '^Fuzz'); do \
			echo "$$package $$name"; \
			$(GO) test $(GOBUILD) -run '^$$' -fuzz "^$$name\$$" -fuzztime $(FUZZTIME) $$package || exit 1; \
		done; \
	done

# The server is driven from outside by the live suite, so each of these also runs part of that on a binary built its way.
# Only on the main Python: what is looked for does not depend on its version.
LIVE ?= pytests/conformance pytests/bodies pytests/faults pytests/threads pytests/lifecycle pytests/waiting pytests/websocket_wsgi
LIVE_TEST = GOWSGI_FORMS=binary GOWSGI_PYTHONS= $(MAIN_PYTHON) -m pytest -q -m 'not slow and not memory' -p no:cacheprovider

race: envs ## Go's tests, and the live suite on a binary, under the race detector
	$(GO) test $(GOBUILD) -race -timeout 15m $(PKG) $(ARGS)
	$(GO) build $(GOBUILD) -race -o build/race/gowsgi ./cmd/gowsgi
	GORACE=halt_on_error=1 GOWSGI_BINARY=$(abspath build/race/gowsgi) $(LIVE_TEST) $(LIVE)

cgocheck: envs ## the same with every pointer that crosses to C checked
	GOEXPERIMENT=cgocheck2 $(GO) test $(GOBUILD) -tags gowsgi_rules -timeout 15m $(PKG) $(ARGS)
	GOEXPERIMENT=cgocheck2 $(GO) build $(GOBUILD) -tags gowsgi_rules -o build/cgocheck/gowsgi ./cmd/gowsgi
	GOWSGI_BINARY=$(abspath build/cgocheck/gowsgi) $(LIVE_TEST) $(LIVE)

# Python keeps memory until the process ends, which is no leak; everything else AddressSanitizer finds is a bug. Greenlets copy
# stacks, marks and all: what uses them runs on a binary whose stacks have none, and the library's C++ needs its runtime early.
sanitize: export ASAN_OPTIONS := detect_leaks=0
sanitize: envs ## the same with C and Go under AddressSanitizer
	$(GO) test $(GOBUILD) -asan -timeout 15m $(PKG) $(ARGS)
	$(GO) build $(GOBUILD) -asan -o build/asan/gowsgi ./cmd/gowsgi
	GOWSGI_BINARY=$(abspath build/asan/gowsgi) $(LIVE_TEST) $(filter-out pytests/waiting pytests/websocket_wsgi,$(LIVE))
	CGO_CFLAGS='-O2 -g --param asan-stack=0' $(GO) build $(GOBUILD) -asan -o build/asan/gowsgi-greenlets ./cmd/gowsgi
	LD_PRELOAD="$$(gcc -print-file-name=libasan.so) $$(gcc -print-file-name=libstdc++.so.6)" \
		GOWSGI_BINARY=$(abspath build/asan/gowsgi-greenlets) $(LIVE_TEST) $(filter pytests/waiting pytests/websocket_wsgi,$(LIVE))

bench: binary ## gowsgi beside its peers; BENCH='--only plain --servers gowsgi,fastwsgi,floor' narrows it, --help tells more
	$(PYTHON) pytests/bench/run.py $(BENCH)

bench-beside: binary ## how much others feel of one heavy client; BENCH='--only pipeline' narrows it
	$(PYTHON) pytests/bench/beside.py $(BENCH)

bench-mongrel2: build ## the same behind Mongrel2, beside m2wsgi's design and uWSGI's plugin: CPU of the handlers alone
	$(PYTHON) pytests/bench/run.py --only mongrel2,mongrel2-8,mongrel2-1 $(BENCH)

bench-workers: binary ## what two workers cost beside one, and how connections are spread between them
	$(PYTHON) pytests/bench/workers.py $(BENCH)

bench-micro: binary ## what the steps of a request cost, compared with the last release; BENCH='--bench Call'
	$(PYTHON) pytests/bench/micro.py $(BENCH)

# Its suite is Python 2.7, which few machines have: it says so then. CASES='1.*,9.1.1' narrows it.
test-autobahn: build envs ## the Autobahn TestSuite's WebSocket cases over binary and pip form (Python 2.7 needed)
	$(PYTHON) $(TOOLS)/autobahn.py "binary=$(CURDIR)/$(BINARY) --python $(CURDIR)/$(MAIN_PYTHON)" \
		"pip=$(CURDIR)/$(MAIN_PYTHON) -m gowsgi"

# Options of mutate.py. Its survivors want a test, or a word in the code on why either is right.
MUTATE ?= --minutes 30
mutate: envs ## one changed operator at a time, to see which no test misses; MUTATE='--package httpparse --minutes 10'
	$(MAIN_PYTHON) $(TOOLS)/mutate.py $(MUTATE)

check: ## all that a change needs: lint, test, race, cgocheck, sanitize
	@$(MAKE) --no-print-directory lint
	@$(MAKE) --no-print-directory test
	@$(MAKE) --no-print-directory race
	@$(MAKE) --no-print-directory cgocheck
	@$(MAKE) --no-print-directory sanitize

clean: ## remove what was built; .cache, which costs a download, stays
	rm -rf build dist python/*.egg-info python/gowsgi/_gowsgi.so
