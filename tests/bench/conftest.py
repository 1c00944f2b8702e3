"""The bench's fixtures. These tests need the kernel's own CAN, I2C and GPIO: `make bench-vm`."""

from __future__ import annotations

import os

import pytest

if "FIELDKIT_BENCH" not in os.environ:
    raise pytest.UsageError("tests/bench runs in the bench VM only: make bench-vm")
