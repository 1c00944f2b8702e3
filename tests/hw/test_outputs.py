"""The write-enable line and the arm button, on gpiozero's mock pins."""

from __future__ import annotations

import sys
import types
from collections.abc import Callable, Iterator

import pytest
from gpiozero.pins.mock import MockFactory

import hw.outputs
from hw.config import OutputsConfig
from hw.errors import BadInputError, UnavailableError
from hw.messages import GateStateName
from hw.outputs import Outputs


def put_factory(monkeypatch: pytest.MonkeyPatch, make: Callable[[], MockFactory]) -> None:
    """Stand in for gpiozero's lgpio module, which needs lgpio and so a real kit (`make pi`)."""
    module = types.ModuleType("gpiozero.pins.lgpio")
    vars(module)["LGPIOFactory"] = make
    monkeypatch.setitem(sys.modules, module.__name__, module)


@pytest.fixture
def pins(monkeypatch: pytest.MonkeyPatch) -> Iterator[MockFactory]:
    """The pins of a kit, where this machine has none."""
    factory = MockFactory()
    put_factory(monkeypatch, lambda: factory)
    yield factory
    factory.close()


def test_the_line_is_low_at_start_follows_and_is_low_at_the_end(pins: MockFactory) -> None:
    pin = pins.pin("GPIO17")
    outputs = Outputs(OutputsConfig(write_enable="gpio17"))
    assert (pin.function, pin.state) == ("output", 0)
    assert [outputs.write_enable, pin.state] == [False, 0]
    outputs.set_write_enable(True)
    assert [outputs.write_enable, pin.state] == [True, 1]
    outputs.set_write_enable(False)
    assert pin.state == 0
    outputs.set_write_enable(True)
    outputs.close()
    assert [state.state for state in pin.states][-2:] == [1, 0]
    assert not outputs.write_enable
    outputs.close()


def test_pin_0_is_pin_0(pins: MockFactory) -> None:
    outputs = Outputs(OutputsConfig(write_enable="gpio0"))
    outputs.set_write_enable(True)
    assert pins.pin("GPIO0").state == 1
    outputs.close()


def test_the_arm_button_is_read(pins: MockFactory) -> None:
    outputs = Outputs(OutputsConfig(arm_button="gpio5"))
    pin = pins.pin("GPIO5")
    assert outputs.arm_pressed() is False
    pin.drive_low()
    assert outputs.arm_pressed() is True
    pin.drive_high()
    assert outputs.arm_pressed() is False
    outputs.close()


@pytest.mark.parametrize(
    ("state", "lamp", "buzzer"),
    [("CLOSED", 0, 0), ("ARMED", 1, 0), ("OPEN", 1, 0), ("HELD", 1, 1), ("CUT", 1, 1)],
)
def test_lamp_and_buzzer_say_what_the_gate_means_to_a_person(
    pins: MockFactory, state: GateStateName, lamp: int, buzzer: int
) -> None:
    outputs = Outputs(OutputsConfig(lamp="gpio22", buzzer="gpio23"))
    for shown in ("HELD", state):
        outputs.show(shown)
    assert [pins.pin("GPIO22").state, pins.pin("GPIO23").state] == [lamp, buzzer]
    outputs.close()


def test_what_is_not_fitted_shows_nothing() -> None:
    outputs = Outputs(OutputsConfig())
    outputs.show("CUT")
    outputs.close()


def test_a_line_that_is_not_fitted_takes_no_real_pin(pins: MockFactory) -> None:
    outputs = Outputs(OutputsConfig(arm_button="gpio17"))
    outputs.set_write_enable(True)
    assert pins.pin("GPIO17").function == "input"
    outputs.close()


def test_a_kit_without_pins_has_a_line_that_remembers_and_no_button() -> None:
    outputs = Outputs(OutputsConfig())
    outputs.set_write_enable(True)
    assert outputs.write_enable
    assert outputs.arm_pressed() is None
    outputs.close()


@pytest.mark.parametrize("name", ["", "GPIO17", "gpio28", "gpio017", "17", "gpio-1", "None"])
def test_an_unknown_pin_is_bad_input(name: str) -> None:
    for config in (OutputsConfig(write_enable=name), OutputsConfig(arm_button=name)):
        with pytest.raises(BadInputError, match="is not known"):
            Outputs(config)


def test_one_pin_for_both_is_bad_input() -> None:
    with pytest.raises(BadInputError, match="both"):
        Outputs(OutputsConfig(write_enable="gpio4", arm_button="gpio4"))


def test_pins_that_cannot_be_used_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> MockFactory:
        raise OSError("no gpiochip")

    put_factory(monkeypatch, fail)
    with pytest.raises(UnavailableError, match="no gpiochip") as caught:
        Outputs(OutputsConfig(write_enable="gpio17"))
    assert "/dev/gpiochip0" in caught.value.next_step


def test_a_pin_taken_by_another_program_gives_the_line_back(
    pins: MockFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    def busy(*_: object) -> None:
        raise OSError("GPIO busy")

    monkeypatch.setattr(hw.outputs, "_button", busy)
    for _ in range(2):
        with pytest.raises(UnavailableError, match="GPIO busy"):
            Outputs(OutputsConfig(write_enable="gpio17", arm_button="gpio5"))
