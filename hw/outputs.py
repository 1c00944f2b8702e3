"""The write-enable line, the arm button, lamp and buzzer, through gpiozero.

The line is low whenever the kit has not said otherwise: at start and at close. After a kill the
kernel gives the pin back as an input, so the circuit needs its pull-down. A kit without the line
says `none` and a mock pin stands in, so that the same code runs.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

from hw.config import OutputsConfig
from hw.errors import BadInputError, UnavailableError
from hw.messages import GateStateName

if TYPE_CHECKING:
    from gpiozero import Button, DigitalOutputDevice
    from gpiozero.pins import Factory

LAMP_LIT = frozenset({"ARMED", "OPEN", "HELD", "CUT"})
"""States of the gate in which a write is under way: leave the plug and the ignition alone."""
BUZZER_SOUNDS = frozenset({"HELD", "CUT"})
"""States in which the write waits for someone."""

_PIN = re.compile(r"gpio([0-9]|1[0-9]|2[0-7])")


class Outputs:
    """The kit's pins.

    Args:
        config: names of the pins (`gpio17`) or `none`.

    Raises:
        BadInputError: a name is neither, or two name one pin.
        UnavailableError: the pins cannot be taken.
    """

    def __init__(self, config: OutputsConfig) -> None:
        self._closed = False
        numbers = _numbers(config)
        with _explained(), ExitStack() as taken:
            factory = _factory(real=bool(numbers))
            # A line that is not fitted is a mock pin also beside real ones; which one is of no
            # importance.
            fitted = "write_enable" in numbers
            self._line = _output(
                factory if fitted else _mock_factory(), numbers.get("write_enable", 17)
            )
            taken.callback(self._line.close)
            self._shown = {
                name: taken.enter_context(_output(factory, numbers[name]))
                for name in _STATES
                if name in numbers
            }
            self._button = _button(factory, numbers.get("arm_button"))
            taken.pop_all()

    @property
    def write_enable(self) -> bool:
        """Is the line high? False after `close`."""
        return not self._closed and bool(self._line.value)

    def set_write_enable(self, on: bool) -> None:
        """Drive the line; takes effect before this returns."""
        if on:
            self._line.on()
        else:
            self._line.off()

    def show(self, state: GateStateName) -> None:
        """Let lamp and buzzer, where fitted, say what the gate's state means to a person.

        Raises:
            UnavailableError: a pin cannot be driven.
        """
        with _explained():
            for name, output in self._shown.items():
                output.value = state in _STATES[name]

    def arm_pressed(self) -> bool | None:
        """Is the arm button held down? None where it is not fitted."""
        return bool(self._button.is_pressed) if self._button is not None else None

    def close(self) -> None:
        """Line low, pins given back. May be called twice."""
        if self._closed:
            return
        self._closed = True
        self._line.off()
        self._line.close()
        for output in self._shown.values():
            output.close()
        if self._button is not None:
            self._button.close()


_STATES = {"lamp": LAMP_LIT, "buzzer": BUZZER_SOUNDS}


def _numbers(config: OutputsConfig) -> dict[str, int]:
    """Number of each pin that is fitted, by its name in kit.toml."""
    found: dict[str, int] = {}
    for name in ("write_enable", "arm_button", *_STATES):
        number = _number(getattr(config, name))
        if number is None:
            continue
        if number in found.values():
            raise BadInputError(
                f"kit.toml gives gpio{number} to both {_name_of(number, found)} and {name}.",
                "Write the pin that each of them is wired to.",
            )
        found[name] = number
    return found


def _name_of(number: int, found: dict[str, int]) -> str:
    return next(name for name, taken in found.items() if taken == number)


def _number(name: str) -> int | None:
    if name == "none":
        return None
    if found := _PIN.fullmatch(name):
        return int(found[1])
    raise BadInputError(
        f"The pin {name!r} in kit.toml is not known.", "Write gpio0 to gpio27, or none."
    )


def _mock_factory() -> Factory:
    from gpiozero.pins.mock import MockFactory  # noqa: PLC0415 - slow

    return MockFactory()


def _factory(*, real: bool) -> Factory:
    if not real:
        return _mock_factory()
    from gpiozero.pins.lgpio import LGPIOFactory  # noqa: PLC0415 - only on a kit with pins

    return LGPIOFactory()


@contextmanager
def _explained() -> Iterator[None]:
    from gpiozero.exc import GPIOZeroError  # noqa: PLC0415 - slow

    try:
        yield
    except Exception as error:
        # lgpio's own error is a plain Exception, of a module that may be what is missing.
        ours = isinstance(error, (ImportError, OSError, RuntimeError, GPIOZeroError))
        if not ours and type(error).__module__ != "lgpio":
            raise
        raise UnavailableError(
            f"The kit's pins cannot be used: {error}.",
            "Install lgpio with 'make pi' and check that the service may open /dev/gpiochip0.",
        ) from error


def _output(factory: Factory, number: int) -> DigitalOutputDevice:
    from gpiozero import DigitalOutputDevice  # noqa: PLC0415 - slow

    return DigitalOutputDevice(number, initial_value=False, pin_factory=factory)


def _button(factory: Factory, number: int | None) -> Button | None:
    from gpiozero import Button  # noqa: PLC0415 - slow

    return Button(number, pin_factory=factory) if number is not None else None
