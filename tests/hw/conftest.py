"""Profiles of the property tests; the gate's rig, on a clock that stands still; what errors say."""

import os
from collections.abc import Iterator

import pytest
from hypothesis import settings

from hw import clock
from hw.errors import FieldKitError
from tests.hw.gate.rig import Clock, Rig

# `quick` is part of every run, `deep` of `make mutants`. In a mutant's run a test must end as it
# did before when nothing was changed, so that nothing is drawn anew.
settings.register_profile("quick", deadline=None)
settings.register_profile("deep", deadline=None, max_examples=2000)
settings.register_profile("mutants", deadline=None, derandomize=True, database=None)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "quick"))


@pytest.fixture
def rig(monkeypatch: pytest.MonkeyPatch) -> Rig:
    """A gate at boot time 1000 s."""
    time = Clock()
    monkeypatch.setattr(clock, "now", time)
    return Rig(time)


@pytest.fixture(autouse=True)
def every_error_says_what_and_what_now(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Whatever a test provokes: each error has two sentences for the person holding the kit."""
    said: list[tuple[object, object]] = []
    make = FieldKitError.__init__

    def noting(self: FieldKitError, what: str, next_step: str) -> None:
        said.append((what, next_step))
        make(self, what, next_step)

    monkeypatch.setattr(FieldKitError, "__init__", noting)
    yield
    for sentences in said:
        for sentence in sentences:
            assert isinstance(sentence, str)
            assert sentence.strip()
