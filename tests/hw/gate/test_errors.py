"""The gate's three answers, as the command line and the API pass them on."""

from __future__ import annotations

import pytest

from hw.errors import FieldKitError, RefusedError
from hw.gate.errors import NotPlanned, WriteCut, WriteHeld


@pytest.mark.parametrize(
    ("kind", "code", "exit_status"),
    [(NotPlanned, "not_planned", 77), (WriteHeld, "write_held", 75), (WriteCut, "write_cut", 75)],
)
def test_each_says_what_and_what_now_with_a_stable_code(
    kind: type[FieldKitError], code: str, exit_status: int
) -> None:
    error = kind("It is so.", "Do that.")
    assert (error.what, error.next_step) == ("It is so.", "Do that.")
    assert (error.code, error.exit_status) == (code, exit_status)
    assert str(error) == "It is so. Do that."


def test_what_is_not_planned_is_refused_by_the_permit() -> None:
    error = NotPlanned("It is so.", "Do that.")
    assert isinstance(error, RefusedError)
    assert error.gate == "PERMIT"
