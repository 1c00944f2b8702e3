"""How the screen's process is measured."""

from __future__ import annotations

import sys

import pytest

from tests.benchmark.screen import PROBE, Screen


def test_a_window_says_when_it_drew_its_first_frame() -> None:
    with Screen(*PROBE, "bare") as bare:
        assert bare.first_frame_s() > 0
        assert bare.rss_mb() > 20
        assert bare.processor_s() > 0
    assert bare.process.poll() is not None


def test_a_screen_that_ended_is_no_figure() -> None:
    with (
        Screen(sys.executable, "-c", "raise SystemExit(3)") as ended,
        pytest.raises(RuntimeError, match="ended with 3"),
    ):
        ended.first_frame_s()
