# make demo                 set everything up and make a portrait talk, on a page in your browser; needs no camera.
#                           Where there is no browser it writes out/demo.mp4
# make demo CAMERA=0        the same with your webcam
# make demo SECONDS=8       stop after 8 seconds
# make test                 set everything up and run all checks
# make test-page            try the control page in Chromium, which has to be there
# make test-calls           calls with a real browser and real servers, in networks of their own; as root
# make test-pipewire        the voice in step and the PipeWire camera, with servers of their own
# make test-virtualcam      the virtual camera on a real device, in an emulated Linux; x86-64, Debian
# make test-tensorrt        build engines for NVIDIA cards, which needs none, in an environment of its own
#
# Needs Python 3.11, 3.12 or 3.13. On Linux the public package index carries PyTorch built for NVIDIA cards,
# several GB large. The much smaller CPU build does as well: set PIP_EXTRA_INDEX_URL to the address that
# https://pytorch.org/get-started shows for "CPU", before the first make.

VENV ?= .venv
TENSORRT ?= .venv-tensorrt
SUPPORTED = import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))
# The first of these that starts and is of a version we support; PYTHON=/path/to/python overrules.
PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11 python; do \
    $$p -c '$(SUPPORTED)' >/dev/null 2>&1 && { echo $$p; break; }; done)

bin := $(VENV)/bin
PIP_FAILED = { echo "make: pip could not install the packages; the reason stands above." >&2; exit 1; }

.PHONY: help demo test test-page test-calls test-pipewire test-virtualcam test-tensorrt setup dev clean
.DELETE_ON_ERROR:

help:
	@sed -n '/^$$/q; s/^# \{0,1\}//p' Makefile

demo: setup
	$(bin)/avatar demo $(if $(CAMERA),--camera "$(CAMERA)") $(if $(SECONDS),--seconds "$(SECONDS)")

# The tests themselves use no network: what they need of it is fetched before.
test: dev
	@$(bin)/avatar fetch-models
	@PYTHON=$(bin)/python scripts/check

# Chromium or Chrome of the system, or Playwright's own (playwright install chromium); without one, all is skipped.
test-page: dev $(VENV)/.installed-page
	@$(bin)/avatar fetch-models
	@$(bin)/python -m pytest tests/page

# What is not there, and cannot be installed, skips its tests with the reason.
CALLS_NEED = chromium janus coturn iproute2
test-calls: dev
	@$(bin)/avatar fetch-models
	@if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null && ! dpkg -s $(CALLS_NEED) >/dev/null 2>&1; then \
	    { apt-get update && apt-get install -y --no-install-recommends $(CALLS_NEED); } || \
	    echo "make: not all of $(CALLS_NEED) can be installed here" >&2; fi
	@$(bin)/python -m pytest tests/calls

PIPEWIRE_NEEDS = dbus pipewire wireplumber pipewire-pulse pulseaudio-utils pulseaudio libspa-0.2-modules \
    gstreamer1.0-tools gstreamer1.0-plugins-base gstreamer1.0-pipewire
test-pipewire: dev $(VENV)/.installed-page
	@$(bin)/avatar fetch-models
	@if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null && ! dpkg -s $(PIPEWIRE_NEEDS) >/dev/null 2>&1; then \
	    { apt-get update && apt-get install -y --no-install-recommends $(PIPEWIRE_NEEDS); } || \
	    echo "make: not all of $(PIPEWIRE_NEEDS) can be installed here" >&2; fi
	@$(bin)/python -m pytest tests/pipewire

# Debian's kernel and module come as packages that are only unpacked, into .virtualcam, and never installed.
VIRTUALCAM_NEEDS = qemu-system-x86 busybox-static cpio kmod make gcc ffmpeg
test-virtualcam: dev
	@$(bin)/avatar fetch-models
	@if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null && ! dpkg -s $(VIRTUALCAM_NEEDS) >/dev/null 2>&1; then \
	    { apt-get update && apt-get install -y --no-install-recommends $(VIRTUALCAM_NEEDS); } || \
	    echo "make: not all of $(VIRTUALCAM_NEEDS) can be installed here" >&2; fi
	@$(bin)/python -m pytest tests/virtualcam

test-tensorrt: $(TENSORRT)/.installed-rtx
	@$(TENSORRT)/bin/python -m pytest tests/tensorrt

setup: $(VENV)/.installed
dev: $(VENV)/.installed-dev

$(VENV)/.created:
	@test -n "$(PYTHON)" && "$(PYTHON)" -c '$(SUPPORTED)' || { echo "make: Python 3.11, 3.12 or 3.13 is needed and was not found;" \
	    "if it has an unusual name: make PYTHON=/path/to/python ..." >&2; exit 1; }
	@"$(PYTHON)" -m avatar.cli.system_libraries
	"$(PYTHON)" -m venv $(VENV) || { echo "make: could not make $(VENV)" \
	    "(on Debian and Ubuntu: sudo apt-get install python3-venv)" >&2; rm -rf $(VENV); exit 1; }
	@touch $@

$(VENV)/.installed: $(VENV)/.created pyproject.toml
	$(bin)/python -m pip install --editable . || $(PIP_FAILED)
	@touch $@

# Not on top of .installed: one resolve, not two, on a machine that only runs the tests.
$(VENV)/.installed-dev: $(VENV)/.created pyproject.toml
	$(bin)/python -m pip install --editable '.[dev]' || $(PIP_FAILED)
	@touch $(VENV)/.installed $@

# Exit status 77, as automake has it for a skipped test, where Playwright cannot be had.
$(VENV)/.installed-page: $(VENV)/.installed-dev
	$(bin)/python -m pip install --quiet --editable '.[dev,page]' || \
	    { echo "make: skipped: Playwright cannot be had here; the reason stands above." >&2; exit 77; }
	@touch $@

# The index may have no TensorRT for this system: exit status 77 then, as automake has it for a skipped test.
$(TENSORRT)/.installed-rtx: pyproject.toml
	"$(PYTHON)" -m venv $(TENSORRT)
	$(TENSORRT)/bin/python -m pip install --quiet --editable '.[dev,rtx]' || \
	    { echo "make: skipped: the packages for TensorRT cannot be had here; the reason stands above." >&2; exit 77; }
	@touch $@

clean:
	rm -rf $(VENV) $(TENSORRT) .virtualcam build dist .mypy_cache .ruff_cache .pytest_cache
