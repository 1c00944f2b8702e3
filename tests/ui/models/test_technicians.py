"""Adding technicians and changing one's passphrase at the screen."""

from __future__ import annotations

from functools import partial

from tests.ui.models.bench import Bench
from tests.ui.models.fake import PASSPHRASE

NEW = "a sentence of her own"


def opened(bench: Bench, role: str = "owner") -> None:
    bench.appliance.set(role=role)
    bench.heard()
    kit = bench.kit
    kit.technicians.open()
    bench.until(lambda: kit.technicians.state.technicians)


def filled_in(bench: Bench) -> None:
    opened(bench)
    model = bench.kit.technicians
    model.fill_in("add")
    model.put("name", " lea ")
    model.put("role", "owner")
    model.put("new", NEW)
    assert not model.state.can_send
    model.put("again", NEW)
    assert model.state.can_send


def test_an_owner_adds_a_technician(bench: Bench) -> None:
    filled_in(bench)
    model = bench.kit.technicians
    model.send(PASSPHRASE)
    bench.until(lambda: model.state.done == "lea can now unlock this kit.")
    assert bench.appliance.calls("technician_add") == [("lea", "owner", NEW)]
    assert (model.state.form, model.state.name, model.state.typed) == ("", "", 0)


def test_a_form_that_is_not_whole_is_not_sent(bench: Bench) -> None:
    filled_in(bench)
    model = bench.kit.technicians
    model.put("again", NEW + "x")
    assert (model.state.same, model.state.can_send) == (False, False)
    model.send(PASSPHRASE)
    model.put("again", NEW)
    model.put("name", "")
    model.send(PASSPHRASE)
    model.send("")
    assert bench.appliance.calls("technician_add") == []


def test_the_new_passphrase_is_in_no_state_and_gone_when_the_screen_is_left(bench: Bench) -> None:
    filled_in(bench)
    model = bench.kit.technicians
    assert NEW not in repr(model.state)
    model.leave()
    model.fill_in("change")
    assert (model.state.typed, model.state.same, model.state.can_send) == (0, None, False)


def tried(bench: Bench, times: int) -> bool:
    return len(bench.appliance.calls("technician_add")) == times and not (
        bench.kit.technicians.state.busy
    )


def test_wrong_passphrases_slow_down_here_too_and_keep_the_form(bench: Bench) -> None:
    filled_in(bench)
    model = bench.kit.technicians
    for tries in range(3):
        model.send("wrong")
        bench.until(partial(tried, bench, tries + 1))
    assert model.state.what == "Name and passphrase do not fit together."
    assert (model.state.wait_s, model.state.can_send) == (2, False)
    bench.passes(2.2)
    assert (model.state.wait_s, model.state.can_send, model.state.name) == (0, True, "lea")


def test_one_changes_ones_own_passphrase(bench: Bench) -> None:
    opened(bench, "technician")
    model = bench.kit.technicians
    assert not model.state.can_add
    model.fill_in("change")
    model.put("new", NEW)
    model.put("again", NEW)
    model.send(PASSPHRASE)
    bench.until(lambda: model.state.done == "Your passphrase is changed.")
    assert bench.appliance.calls("passphrase_change") == [(NEW,)]
