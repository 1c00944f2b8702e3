# The field kit. `make demo` and `make test` do everything from nothing on Debian 12/13 and
# Raspberry Pi OS with git, make and Python 3.11 or newer. All paths are relative, so that the
# folder may lie under a name with spaces.

PYTHON ?= python3
BIN := .venv/bin
PIP := $(BIN)/python -m pip --quiet --disable-pip-version-check --no-input
# Only what a lock names by hash takes part: what has no wheel is built with the locked builder.
INSTALL := $(PIP) install --use-pep517 --no-build-isolation --require-hashes -r
READY := .venv/fieldkit-ready
# Tools to hold the kit against, in an environment of their own.
BENCH_READY := .venv-bench/fieldkit-ready

# command=package: what the Debian package brings. Tests open backups and reports with the stock
# tools, make an Intel HEX file with objcopy, have systemd read the units and touch the screen by a
# mouse under X; the campaign cuts the power of ext4; nmcli talks to a NetworkManager that is simulated
# on a bus of its own; the workshop's hub also runs on PostgreSQL.
DEBIAN_FOR_SETUP := module:ensurepip=python3-venv
DEBIAN_FOR_TESTS := age=age ssh-keygen=openssh-client objcopy=binutils pdftotext=poppler-utils \
	systemd-analyze=systemd mke2fs=e2fsprogs mount=mount dbus-daemon=dbus library:libnm.so.0=libnm0 \
	file:/usr/lib/python3/dist-packages/dbusmock/__init__.py=python3-dbusmock \
	Xvfb=xvfb xdotool=xdotool chromium=chromium file:/usr/lib/postgresql=postgresql
# What the screen draws with, on a desktop or without one; the wheels bring all the rest.
DEBIAN_FOR_SCREEN := library:libGL.so.1=libgl1 library:libEGL.so.1=libegl1 \
	library:libEGL_mesa.so.0=libegl-mesa0
DEBIAN_FOR_BENCH := age=age stress-ng=stress-ng
# The bench VM's emulator, what its kernel module is built with (objtool needs the library of
# elfutils) and what the tests in it use.
DEBIAN_FOR_BENCH_VM := qemu-system-x86_64=qemu-system-x86 busybox=busybox-static modprobe=kmod \
	gcc=gcc eu-objdump=elfutils xz=xz-utils systemd-analyze=systemd udevadm=udev ip=iproute2 \
	candump=can-utils
DEBIAN_FOR_PI := gcc=gcc swig=swig python3-config=python3-dev

.DEFAULT_GOAL := help
.PHONY: help demo test campaign mutants mutants-changed bench bench-vm bench-compare screenshots lint lock pi clean setup tools

help: ## Say what can be made.
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/make \1\t\2/p' Makefile | expand -t 20

demo: setup ## The screen on the simulated car; without a display the main job on the console.
	@PYTHON="$(PYTHON)" .ci/debian-packages $(DEBIAN_FOR_SCREEN)
	@$(BIN)/fieldkit demo

test: setup tools lint ## Linters, types, import contracts, a sample of the campaign, every test.
	@$(BIN)/python -m pytest -q -W error tests/campaign
	@$(BIN)/python -m pytest -q -W error -n 2 --dist loadfile --ignore tests/campaign

# RUNS=10000 SEED=1 BASELINE=1000 for the whole of it; FLAGS for anything else that it takes.
campaign: setup tools ## Whole jobs through the kit with seeded faults, judged from the car.
	@PATH="$$PATH:/usr/sbin:/sbin" $(BIN)/python -m tests.campaign $(if $(RUNS),--runs $(RUNS)) \
		$(if $(SEED),--seed $(SEED)) $(if $(JOBS),--jobs $(JOBS)) \
		$(if $(BASELINE),--baseline $(BASELINE)) $(FLAGS)

mutants: setup ## Prove the gate: properties in depth, coverage, every mutant (half an hour).
	@HYPOTHESIS_PROFILE=deep $(BIN)/python -m pytest -q -W error --timeout 900 \
		tests/hw/gate/test_properties.py tests/hw/gate/test_machine.py \
		tests/hw/test_executor_properties.py
	@$(BIN)/python -m tests.mutants

mutants-changed: setup ## The same for what changed since it was proven; part of CI.
	@$(BIN)/python -m tests.mutants --changed

# QUICK=1 for fewer runs.
bench: setup $(BENCH_READY) ## The numbers, beside the tools people use now; also build/bench.json.
	@PYTHON="$(PYTHON)" .ci/debian-packages $(DEBIAN_FOR_BENCH) $(DEBIAN_FOR_SCREEN)
	@$(BIN)/python -m tests.benchmark $(if $(QUICK),--quick)

bench-compare: setup ## That file against an earlier one: make bench-compare BASE=FILE.
	@$(BIN)/python -m tests.benchmark.compare "$(BASE)"

bench-vm: pi ## tests/bench on a real kernel's CAN, I2C and GPIO, in a VM (two minutes).
	@PATH="$$PATH:/usr/sbin:/sbin" PYTHON="$(PYTHON)" .ci/debian-packages $(DEBIAN_FOR_BENCH_VM)
	@PATH="$$PATH:/usr/sbin:/sbin" $(BIN)/python -m tests.bench.vm

screenshots: setup ## The README's pictures of the screen, into ui/screenshots.
	@PYTHON="$(PYTHON)" .ci/debian-packages $(DEBIAN_FOR_SCREEN)
	@$(BIN)/python -m tests.ui.screenshots

lint: setup ## ruff, mypy --strict and the import contracts.
	@$(BIN)/ruff check --quiet .
	@$(BIN)/ruff format --check --quiet .
	@$(BIN)/mypy --strict
	@$(BIN)/lint-imports --no-logo

lock: ## Resolve the locks anew, with hashes, for every supported Python and machine.
	@PYTHON="$(PYTHON)" .ci/lock

# There is no wheel of lgpio for Python 3.13, so that it is compiled, with its C library inside
# (PYPI=1, as its author's wheels are).
pi: setup ## Add the GPIO library that a real kit's write-enable line needs.
	@"$(PYTHON)" -c 'import sys; sys.exit(sys.version_info >= (3, 13))' || \
		PYTHON="$(PYTHON)" .ci/debian-packages $(DEBIAN_FOR_PI)
	@PYPI=1 $(INSTALL) requirements-pi.lock

clean: ## Remove everything that was made here.
	rm -rf .venv .venv-bench build .pytest_cache .mypy_cache .ruff_cache .import_linter_cache \
		.hypothesis fieldkit.egg-info .coverage
	find appliance hw tests ui -name __pycache__ -prune -exec rm -rf {} +

setup: $(READY)

tools:
	@PYTHON="$(PYTHON)" .ci/debian-packages $(DEBIAN_FOR_TESTS) $(DEBIAN_FOR_SCREEN)
	@.ci/nmcli

$(READY): requirements.lock requirements-build.lock pyproject.toml
	@PYTHON="$(PYTHON)" .ci/debian-packages $(DEBIAN_FOR_SETUP)
	@"$(PYTHON)" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
		echo "Python 3.11 or newer is needed. Name one: make PYTHON=python3.13 ..." >&2; exit 69; }
	@echo "Setting up .venv; this is done once and takes a minute or two."
	@$(BIN)/python -m pip --version >/dev/null 2>&1 || "$(PYTHON)" -m venv --clear .venv
	@$(INSTALL) requirements-build.lock
	@$(INSTALL) requirements.lock
	@$(PIP) install --no-build-isolation --no-deps --editable .
	@touch $(READY)

$(BENCH_READY): requirements-bench.lock | $(READY)
	@"$(PYTHON)" -m venv --clear .venv-bench
	@.venv-bench/bin/python -m pip --quiet --disable-pip-version-check --no-input install \
		--only-binary=:all: --require-hashes -r requirements-bench.lock
	@touch $(BENCH_READY)
