"""The write-enable line and the arm button, through gpiozero.

The line is low whenever the kit has not said otherwise: at start, at close and, because the kernel
releases the pin of a dead process, after a kill. A kit without the line says `none` and a mock pin
stands in, so that the same code runs.
"""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING

from hw.config import OutputsConfig, run_dir
from hw.errors import BadInputError, UnavailableError

if TYPE_CHECKING:
    from gpiozero import Button, DigitalOutputDevice
    from gpiozero.pins import Factory

_PIN = re.compile(r"gpio([0-9]|1[0-9]|2[0-7])")


class Outputs:
    """The kit's pins.

    Args:
        config: names of the pins (`gpio17`) or `none`.

    Raises:
        BadInputError: a name is neither.
        UnavailableError: the pins cannot be taken.
    """

    def __init__(self, config: OutputsConfig) -> None:
        line, button = _number(config.write_enable), _number(config.arm_button)
        factory = _factory(real=line is not None or button is not None)
        self._line = _line(factory, line)
        self._button = _button(factory, button)

    @property
    def write_enable(self) -> bool:
        """Is the line high?"""
        return bool(self._line.value)

    def set_write_enable(self, on: bool) -> None:
        """Drive the line; takes effect before this returns."""
        if on:
            self._line.on()
        else:
            self._line.off()

    def arm_pressed(self) -> bool | None:
        """Is the arm button held down? None where it is not fitted."""
        return bool(self._button.is_pressed) if self._button is not None else None

    def close(self) -> None:
        """Line low, pins given back."""
        self._line.off()
        self._line.close()
        if self._button is not None:
            self._button.close()


def _number(name: str) -> int | None:
    if name == "none":
        return None
    if found := _PIN.fullmatch(name):
        return int(found[1])
    raise BadInputError(
        f"The pin {name!r} in kit.toml is not known.", "Write gpio0 to gpio27, or none."
    )


def _factory(*, real: bool) -> Factory:
    from gpiozero.pins.mock import MockFactory  # noqa: PLC0415 - slow

    if not real:
        return MockFactory()
    # lgpio leaves a FIFO in the working directory unless it is told another.
    os.environ.setdefault("LG_WD", str(run_dir()))
    try:
        from gpiozero.pins.lgpio import LGPIOFactory  # noqa: PLC0415 - only on a kit with pins

        return LGPIOFactory()
    except (ImportError, OSError, RuntimeError) as error:
        raise UnavailableError(
            f"The kit's pins cannot be used: {error}.",
            "Install lgpio with 'make pi' and check that the service may open /dev/gpiochip0.",
        ) from error


def _line(factory: Factory, number: int | None) -> DigitalOutputDevice:
    from gpiozero import DigitalOutputDevice  # noqa: PLC0415 - slow

    # A mock factory has pins 0 to 27 too; which one stands in for a line that is not fitted is of
    # no importance.
    return DigitalOutputDevice(
        17 if number is None else number, initial_value=False, pin_factory=factory
    )


def _button(factory: Factory, number: int | None) -> Button | None:
    from gpiozero import Button  # noqa: PLC0415 - slow

    return Button(number, pin_factory=factory) if number is not None else None
