"""About: what the kit is, and its diagnostics onto a stick."""

from __future__ import annotations

import pytest

from appliance.client import messages as m
from tests.ui.models.bench import Bench
from tests.ui.models.fake import refusal
from ui.models import words
from ui.models.about import AboutModel


@pytest.fixture
def about(bench: Bench) -> AboutModel:
    about = bench.kit.about
    about.open()
    bench.until(lambda: about.state.facts)
    return about


def test_it_tells_versions_storage_clock_and_supply(about: AboutModel) -> None:
    facts = dict(about.state.facts)
    assert facts["Kit"] == "3a77c3a1a90b"
    assert facts["Storage"] == "8.0 GB of 32.0 GB free"
    assert (facts["Clock"], facts["Supply"]) == ("Synchronised", "Enough")
    assert facts["Technician"] == "maria · Technician"
    assert facts["Simulated"] == "car"
    assert facts["Libraries"] == "kivy 2.3.1", "what is not installed has no version"


@pytest.mark.parametrize(
    ("supply", "word"),
    [
        (m.Supply(state="low"), "Too low"),
        (m.Supply(state="unknown"), "Unknown"),
        (
            m.Supply(state="ok", was_low=True),
            "Enough; it was too low since the kit was switched on",
        ),
    ],
)
def test_the_supply_is_told_with_its_past(supply: m.Supply, word: str) -> None:
    assert words.supply(supply) == word


def test_diagnostics_go_onto_the_chosen_stick(bench: Bench, about: AboutModel) -> None:
    about.look_for_sticks()
    bench.until(lambda: about.state.sticks)
    about.save(about.state.sticks[0].folder)
    bench.until(lambda: about.state.saved == "The diagnostics lie on USB.")
    assert bench.appliance.calls("diagnostics_onto") == [("/media/usb",)]
    about.open()
    assert about.state.saved == ""


def test_a_full_stick_is_told_and_nothing_is_called_saved(bench: Bench, about: AboutModel) -> None:
    bench.appliance.refuses["diagnostics_onto"] = refusal("stick", "It is full.", "Make room.")
    about.save("/media/usb")
    bench.until(lambda: about.state.what == "It is full.")
    assert (about.state.saved, about.state.next_step) == ("", "Make room.")
    assert about.state.facts
