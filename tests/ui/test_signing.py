"""The customer's page in a real window: what counts as read, and what lies on the pad."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import Any

import pytest

from tests.stack import ROOT


@pytest.fixture(scope="module")
def shown() -> dict[str, Any]:
    ran = subprocess.run(
        [sys.executable, "-m", "tests.ui.signing"],
        cwd=ROOT,
        env=os.environ | {"SDL_VIDEODRIVER": "offscreen"},
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    found: dict[str, Any] = json.loads(ran.stdout)
    return found


def test_a_text_counts_as_read_once_its_end_was_in_sight(shown: dict[str, Any]) -> None:
    assert shown["long"][0] == []
    assert set(shown["long"][1]) == {"read_to_end"}
    assert set(shown["short"][0]) == {"read_to_end"}


def test_the_next_text_begins_at_its_beginning(shown: dict[str, Any]) -> None:
    assert shown["next"] == [1, []]


def test_one_finger_draws_and_what_it_draws_is_kept_with_its_times(shown: dict[str, Any]) -> None:
    signed = shown["signed"]
    first, second = signed["strokes"]
    assert first == [[100, 100, 0], [200, 100, 1000]]
    assert second[0][:2] == [300, 200]
    assert second[-1][:2] == [1000, 200]
    times = [at for stroke in signed["strokes"] for _x, _y, at in stroke]
    assert times == sorted(times)


def test_a_wiped_pad_is_empty_and_beside_it_nothing_is_drawn(shown: dict[str, Any]) -> None:
    signed = shown["signed"]
    assert signed["wiped"] == [[], False]
    assert signed["beside"] == []
    assert signed["drawn"]
    assert [[stroke[0][:2] for stroke in strokes] for (strokes,) in signed["signed"]] == [
        [[400, 100]]
    ]


def test_what_was_drawn_at_another_size_does_not_stay(shown: dict[str, Any]) -> None:
    assert shown["signed"]["after another size"] == []
