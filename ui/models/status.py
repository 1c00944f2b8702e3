"""The status bar: voltage and gate, link, media, sync, clock, supply. Missing is missing."""

from __future__ import annotations

from typing import Any

from msgspec import Struct

from appliance.client import messages
from ui.i18n import _
from ui.models import words
from ui.models.base import ViewModel
from ui.models.shared import Shared
from ui.models.window import Window, window_of


class StatusState(Struct, frozen=True, kw_only=True):
    """Figures of this moment; None or an empty text where one is missing, never the last value.

    Attributes:
        fresh: the kit was heard within the last second.
        gone, what, next_step: the appliance does not answer, in its own sentences.
        write_goes_on: it is gone while a write was running, which needs neither it nor a screen.
        hw_what, hw_next_step: the hardware process does not answer; empty while it does.
        record_what, record_next_step: why what hw has done is not on the record yet; empty else.
        volts: at the vehicle battery; `volts_reason` says why there is none.
        gate: `CLOSED`, `ARMED`, `OPEN`, `HELD`, `CUT`, or empty; `gate_word` is how it is shown.
        window: limits of the plan in hand, None without one.
        link: what the kit is connected to.
        media_a, media_b: `present`, `missing`, `read_only`, `full`, or empty while not known.
        media_a_what, media_b_what: why it is not present, and what to do.
        sync: `not_set_up`, `locked`, `idle`, `sending`, `waiting`, `paused`.
        clock: `synchronised` or `unsynchronised`.
        supply: of the kit itself: `ok`, `low`, `unknown`.
        wall: the kit's wall clock, RFC 3339.
        simulated: what is not real, such as the car or the sensor.
        locked, technician, role: who has the kit.
        writing: a write is under way.
    """

    fresh: bool = False
    gone: bool = False
    what: str = ""
    next_step: str = ""
    write_goes_on: bool = False
    hw_what: str = ""
    hw_next_step: str = ""
    record_what: str = ""
    record_next_step: str = ""
    volts: float | None = None
    volts_reason: str = ""
    gate: str = ""
    gate_word: str = ""
    gate_reason: str = ""
    gate_next_step: str = ""
    window: Window | None = None
    link: str = ""
    media_a: str = ""
    media_a_what: str = ""
    media_b: str = ""
    media_b_what: str = ""
    sync: str = ""
    clock: str = ""
    wall: str = ""
    supply: str = ""
    simulated: tuple[str, ...] = ()
    locked: bool = True
    technician: str = ""
    role: str = ""
    writing: bool = False


class StatusModel(ViewModel[StatusState]):
    """Follows the kit's status and the limits of the plan in hand."""

    def __init__(self, shared: Shared) -> None:
        super().__init__(StatusState())
        self._shared = shared
        shared.backend.subscribe(lambda _seen: self._look())
        shared.desk.subscribe(lambda _desk: self._look())

    def _look(self) -> None:
        seen, plan = self._shared.backend.state, self._shared.desk.plan
        status = seen.status if seen.fresh else None
        empty = StatusState(volts_reason=_("The kit does not answer."))
        fields: dict[str, Any] = {
            name: getattr(empty, name) for name in StatusState.__struct_fields__
        }
        if status is not None:
            fields |= _of_kit(status) | _of_hw(status)
        self._change(
            **fields
            | {
                "fresh": seen.fresh,
                "gone": seen.gone,
                "what": seen.what,
                "next_step": seen.next_step,
                "write_goes_on": seen.gone and seen.was_writing,
                "window": window_of(plan),
                "writing": seen.running is not None,
            }
        )


def _of_kit(status: messages.KitStatus) -> dict[str, Any]:
    fields: dict[str, Any] = {
        "locked": status.locked,
        "technician": status.technician,
        "role": status.role,
        "simulated": tuple(status.simulated),
        "sync": status.sync.state,
        "clock": status.clock.quality,
        "wall": status.clock.wall,
        "supply": status.supply.state,
        **record_problem(status),
    }
    for medium in status.media:
        fields[f"media_{medium.name}"] = medium.state
        fields[f"media_{medium.name}_what"] = f"{medium.what} {medium.next_step}".strip()
    return fields


def record_problem(status: messages.KitStatus | None) -> dict[str, str]:
    """Why the record is behind, as fields of whatever state shows it."""
    problem = status.record_problem if status is not None else None
    return {
        "record_what": problem.what if problem is not None else "",
        "record_next_step": problem.next_step if problem is not None else "",
    }


def _of_hw(status: messages.KitStatus) -> dict[str, Any]:
    hw, problem = status.hw, status.hw_problem
    if hw is None:
        what = problem.what if problem is not None else ""
        return {
            "volts_reason": what,
            "hw_what": what,
            "hw_next_step": problem.next_step if problem is not None else "",
        }
    return {
        "volts": hw.volts,
        "volts_reason": hw.voltage_reason,
        "gate": hw.gate,
        "gate_word": words.gate_state(hw.gate),
        "gate_reason": hw.gate_reason,
        "gate_next_step": hw.gate_next_step,
        "link": ", ".join(hw.links),
    }
