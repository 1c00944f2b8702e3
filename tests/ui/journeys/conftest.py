"""What every journey has: an X server, a kit, and a screen in front of it."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.stack import GOOD_VOLTS
from tests.ui.journeys.kit import Kit, running_kit
from tests.ui.journeys.screen import END_LIMIT_S, Screen


@pytest.fixture(scope="module")
def display() -> Iterator[str]:
    """Start an X server on a free display."""
    reads, writes = os.pipe()
    words = ["-displayfd", str(writes), "-screen", "0", "800x480x24", "-nolisten", "tcp"]
    with (
        os.fdopen(reads) as told,
        subprocess.Popen(
            # Without a reset when the last window closes: the next one may be opening.
            ["Xvfb", *words, "-noreset"],
            pass_fds=[writes],
            stderr=subprocess.DEVNULL,
        ) as server,
    ):
        os.close(writes)
        try:
            yield f":{int(told.readline())}"
        finally:
            server.terminate()
            server.wait(END_LIMIT_S)


@pytest.fixture(scope="module")
def kit() -> Iterator[Kit]:
    with running_kit() as running:
        yield running


@pytest.fixture
def screen(display: str, kit: Kit, short_tmp: Path) -> Iterator[Screen]:
    """A screen that is still off, in front of a kit whose battery is well."""
    kit.volts(GOOD_VOLTS)
    with Screen(display, kit.run / "appliance.sock", short_tmp) as off:
        yield off
