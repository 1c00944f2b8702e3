"""When the screen goes dark, and when it never does."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from msgspec import structs

from tests.ui.models.bench import Bench, Clock, Pump, make_kit
from tests.ui.models.fake import FakeAppliance, plan_view, run_info
from ui.models.kit import Preferences


@pytest.fixture
def bench(clock: Clock, appliance: FakeAppliance, tmp_path: Path) -> Iterator[Bench]:
    """Models whose screen goes dark after 10 s."""
    pump = Pump()
    with make_kit(
        appliance.client,
        pump,
        tmp_path / "place.json",
        clock,
        preferences=Preferences(dark_after_s=lambda: 10.0),
    ) as kit:
        it = Bench(kit, appliance, clock, pump)
        it.on("home")
        it.kit.rest.touched()
        yield it


def is_dark(bench: Bench) -> bool:
    return bench.kit.rest.state.dark


def test_it_goes_dark_when_nobody_is_there_and_one_touch_wakes_it(bench: Bench) -> None:
    rest = bench.kit.rest
    bench.passes(9)
    assert not rest.touched()
    bench.passes(9)
    assert not is_dark(bench)
    bench.passes(1.2)
    assert is_dark(bench)
    assert rest.touched(), "this touch means nothing else"
    assert not is_dark(bench)
    assert not rest.touched()


def test_it_stays_light_where_that_is_set(
    clock: Clock, appliance: FakeAppliance, tmp_path: Path
) -> None:
    pump = Pump()
    with make_kit(appliance.client, pump, tmp_path / "place.json", clock) as kit:
        bench = Bench(kit, appliance, clock, pump)
        bench.on("home")
        bench.passes(100)
        assert not is_dark(bench)


def test_it_is_never_dark_while_a_write_runs(bench: Bench) -> None:
    bench.passes(11)
    assert is_dark(bench)
    bench.appliance.set(runs=[run_info()], gate="OPEN")
    bench.on("write")
    assert not is_dark(bench), "a write that somebody else started wakes it"
    bench.passes(30)
    assert not is_dark(bench)
    bench.appliance.set(gone=True)
    bench.on("gone")
    bench.silent(30)
    assert not is_dark(bench), "it may still run"


@pytest.mark.parametrize("screen", ["agree", "gates", "acknowledge"])
def test_it_is_not_dark_before_a_write(bench: Bench, screen: str) -> None:
    bench.appliance.set(plan=structs.replace(plan_view(), agreements=["terms"]))
    bench.kit.home.take("j1")
    bench.on("vehicle")
    bench.kit.navigation.go(screen)  # type: ignore[arg-type]  # one of its screens
    bench.on(screen)
    bench.passes(30)
    assert not is_dark(bench)
    bench.kit.navigation.home()
    bench.passes(9)
    assert not is_dark(bench), "its time counts from the end of what was watched"
    bench.passes(2)
    assert is_dark(bench)
