"""What goes wrong in a run, drawn from a seed: `draw(seed, run)` is the same on every machine.

A fault is an action at a moment. Actions at the car go to its control socket; actions at the kit
(signals, filesystems, clocks) are the rig's; a wrong input is the technician's.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any, Literal

import msgspec
from msgspec import Struct

from tests.campaign.template import ECU

Category = Literal["voltage", "bus", "ecu", "kit", "input"]
Phase = Literal["identify", "backup", "plan", "write"]
Kind = Literal["can", "doip"]
Operation = Literal["flash", "code", "restore"]

FORGED = (
    "acknowledgment of another plan",
    "acknowledgment expired",
    "acknowledgment edited by one byte",
    "acknowledgment missing",
    "checks of another plan",
    "checks of another boot",
    "checks edited by one byte",
    "no backup",
    "manifest edited by one byte",
    "plan edited by one byte",
    "payload edited by one byte",
    "profile edited by one byte",
)
OTHER_SERIAL = "WFKENG0000099999"
PHASES: tuple[Phase, ...] = ("identify", "backup", "plan", "write")
# Services that a write sends, as often as the moments should fall on them.
SERVICES = (0x10, 0x27, 0x2E, 0x31, 0x31, 0x34, 0x36, 0x36, 0x36, 0x36, 0x37, 0x22, 0x23, 0x11)
BLOCKS = 9


class Moment(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """When: `after_s` seconds after the phase began, or after the ECU got the `count`th request of
    `service` since then.
    """

    phase: Phase
    after_s: float = 0.0
    service: int = 0
    count: int = 1


class Fault(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One thing that goes wrong.

    Attributes:
        name: for the table.
        car: command to the car's control socket; empty for a fault of the kit or of the input.
        kit: what the rig does, with its numbers.
        wrong: what the technician does wrong.
    """

    category: Category
    name: str
    at: Moment
    car: dict[str, Any] = {}
    kit: dict[str, Any] = {}
    wrong: str = ""


class Scenario(Struct, frozen=True, kw_only=True):
    """A whole run.

    Attributes:
        patience_s: the technician looks on for so long before they put things right.
        gives_up: after a refusal they leave the car as it is.
        resumes: after a cut they resume; else they abort and recover.
    """

    seed: int
    run: int
    kind: Kind
    operation: Operation
    faults: list[Fault]
    patience_s: float
    gives_up: bool
    resumes: bool

    @property
    def power_cut(self) -> bool:
        """Does the kit lose its power, so that its filesystems must be such that can be cut?"""
        return any(fault.kit.get("do") == "power_cut" for fault in self.faults)

    def wrong(self) -> str:
        """What the technician does wrong, empty for nothing."""
        return next((fault.wrong for fault in self.faults if fault.wrong), "")


def draw(seed: int, run: int) -> Scenario:
    """The scenario of one run."""
    rng = random.Random(f"{seed}/{run}")
    kind: Kind = rng.choice(("can", "doip"))
    operation: Operation = rng.choices(("flash", "code", "restore"), (7, 2, 1))[0]
    categories = rng.choices(
        ("voltage", "bus", "ecu", "kit", "input"),
        (6, 5, 5, 6, 3),
        k=rng.choices((0, 1, 2, 3), (2, 58, 28, 12))[0],
    )
    faults: list[Fault] = []
    for category in categories:
        if category == "input" and any(fault.category == "input" for fault in faults):
            continue  # One mistake at a time: two can make each other right.
        faults.append(_on_one_medium(_DRAWS[category](rng, kind), faults))
    if any(fault.wrong for fault in faults):
        operation = "flash"  # Mistakes are about files, plans and payloads.
    return Scenario(
        seed=seed,
        run=run,
        kind=kind,
        operation=operation,
        faults=faults,
        patience_s=rng.uniform(0.2, 1.5),
        gives_up=rng.random() < 0.3,
        resumes=rng.random() < 0.5,
    )


def _on_one_medium(fault: Fault, before: list[Fault]) -> Fault:
    """Two media stand for the loss of one: all damage of a run is done to the same."""
    damaged = damaged_medium(before)
    if fault.kit.get("do") != "flip" or not damaged:
        return fault
    return msgspec.structs.replace(fault, kit={**fault.kit, "where": damaged})


def damaged_medium(faults: list[Fault]) -> str:
    """The medium that bits flip on, empty for none."""
    return next((str(f.kit["where"]) for f in faults if f.kit.get("do") == "flip"), "")


def _moment(rng: random.Random) -> Moment:
    """Most moments lie in the write, at a request of it."""
    if rng.random() < 0.25:
        return Moment(phase=rng.choice(PHASES), after_s=round(rng.uniform(0.0, 0.8), 4))
    service = rng.choice(SERVICES)
    count = rng.randint(1, BLOCKS if service == 0x36 else 3 if service in (0x31, 0x22) else 1)
    after_s = round(rng.choice((0.0, rng.uniform(0.0, 0.004), rng.uniform(0.0, 0.06))), 5)
    return Moment(phase="write", service=service, count=count, after_s=after_s)


# Voltage ------------------------------------------------------------------------------------------


def _voltage(rng: random.Random, _kind: Kind) -> Fault:
    name = rng.choice(tuple(_VOLTAGES))
    return Fault(category="voltage", name=name, at=_moment(rng), car=_VOLTAGES[name](rng))


def _seconds(rng: random.Random) -> float:
    """Mostly short: milliseconds are where a gate is quick or not."""
    return round(10 ** rng.uniform(-3, 0.6), 4)


def _sag(rng: random.Random) -> dict[str, Any]:
    return {"do": "sag", "volts": round(rng.uniform(2.0, 12.3), 2), "for_s": _seconds(rng)}


def _ripple(rng: random.Random) -> dict[str, Any]:
    mean, swing = rng.uniform(11.0, 14.5), rng.uniform(0.2, 3.0)
    period_s, for_s = 10 ** rng.uniform(-2.3, -0.5), rng.uniform(0.1, 2.0)
    points = [
        (round(index * period_s / 2, 5), round(mean + (swing if index % 2 else -swing), 2))
        for index in range(min(int(2 * for_s / period_s), 400) + 1)
    ]
    return {"do": "wave", "points": points, "for_s": round(for_s, 4)}


def _crank(rng: random.Random) -> dict[str, Any]:
    """ISO 16750-2, 4.6.3: a deep dip, a long plateau with the ripple of the pistons, recovery."""
    dip, plateau = rng.uniform(3.0, 8.0), rng.uniform(6.0, 10.5)
    points = [(0.0, dip), (0.015, dip + 0.5), (0.05, plateau)]
    points += [(0.1 + 0.05 * index, plateau + (0.5 if index % 2 else 0.0)) for index in range(10)]
    return {"do": "wave", "points": points, "for_s": round(rng.uniform(0.6, 1.5), 3)}


def _over(rng: random.Random) -> dict[str, Any]:
    return {"do": "sag", "volts": round(rng.uniform(14.9, 24.0), 2), "for_s": _seconds(rng)}


def _pulled(rng: random.Random) -> dict[str, Any]:
    return {"do": "sag", "volts": 0.0, "for_s": round(rng.uniform(0.05, 3.0), 3)}


def _weak(rng: random.Random) -> dict[str, Any]:
    """A battery that stays weak until somebody brings a charger."""
    return {"do": "battery", "volts": round(rng.uniform(8.0, 12.6), 2)}


def _sensor(fault: str) -> Callable[[random.Random], dict[str, Any]]:
    def command(rng: random.Random) -> dict[str, Any]:
        volts = round(rng.choice((-1, 1)) * rng.uniform(0.1, 4.0), 2) if fault == "offset" else 0.0
        return {"do": "sensor", "fault": fault, "volts": volts}

    return command


_VOLTAGES: dict[str, Callable[[random.Random], dict[str, Any]]] = {
    "sag": _sag,
    "deep sag": lambda rng: _sag(rng) | {"volts": round(rng.uniform(2.0, 9.0), 2)},
    "ripple": _ripple,
    "crank": _crank,
    "over-voltage": _over,
    "battery pulled": _pulled,
    "weak battery": _weak,
    "sensor unplugged": _sensor("nak"),
    "sensor frozen": _sensor("frozen"),
    "sensor reset": _sensor("reset"),
    "sensor overflow": _sensor("overflow"),
    "sensor offset": _sensor("offset"),
}


# Bus ----------------------------------------------------------------------------------------------


def _bus(rng: random.Random, kind: Kind) -> Fault:
    table = _CAN_FAULTS if kind == "can" else _DOIP_FAULTS
    name = rng.choice(tuple(table))
    return Fault(category="bus", name=name, at=_moment(rng), car=table[name](rng))


def _wire(fault: str, longest_s: float = 0.0) -> Callable[[random.Random], dict[str, Any]]:
    def command(rng: random.Random) -> dict[str, Any]:
        if longest_s:
            for_s = round(10 ** rng.uniform(-2.5, 0) * longest_s, 4)
            return {"do": "wire", "fault": fault, "for_s": for_s}
        return {
            "do": "wire",
            "fault": fault,
            "count": rng.randint(1, 4),
            "chance": rng.choice((1.0, 0.3, 0.05)),
        }

    return command


_CAN_FAULTS: dict[str, Callable[[random.Random], dict[str, Any]]] = {
    "frames lost": _wire("lose"),
    "frames doubled": _wire("duplicate"),
    "frames delayed": _wire("hold", 3.0),
    "flow control spoilt": _wire("flow_control"),
    "bus-off": _wire("bus_off", 2.0),
    "cable out and back": _wire("open", 4.0),
    "cable out": lambda _rng: {"do": "wire", "fault": "open", "for_s": 1e6},
}
_DOIP_FAULTS: dict[str, Callable[[random.Random], dict[str, Any]]] = {
    "gateway asleep": lambda _rng: {"do": "gateway", "awake": False},
    "connection reset": lambda _rng: {"do": "gateway", "fault": "reset"},
    "half-open": lambda rng: {
        "do": "gateway",
        "fault": "deaf",
        "for_s": round(rng.uniform(0.05, 4.0), 3),
    },
    "alive check": lambda _rng: {"do": "gateway", "fault": "alive_check"},
}


# ECU ----------------------------------------------------------------------------------------------


def _ecu(rng: random.Random, _kind: Kind) -> Fault:
    name = rng.choice(tuple(_ECU_FAULTS))
    at = _moment(rng)
    command = {"ecu": ECU, **_ECU_FAULTS[name](rng)}
    if command["do"] == "fault":
        # It misbehaves at a request itself, so the moment only says at which one.
        service = at.service or rng.choice(SERVICES)
        command["service"] = command.get("service", service)
        at = Moment(phase=at.phase)
    return Fault(category="ecu", name=name, at=at, car=command)


def _fault(fault: str, **more: Any) -> Callable[[random.Random], dict[str, Any]]:
    def command(rng: random.Random) -> dict[str, Any]:
        return {"do": "fault", "fault": fault, "count": rng.randint(1, 3), **more}

    return command


_ECU_FAULTS: dict[str, Callable[[random.Random], dict[str, Any]]] = {
    "0x78 for long": lambda rng: {
        "do": "fault",
        "fault": "pending",
        "seconds": round(rng.uniform(0.5, 6.0), 2),
    },
    "0x21 busy": _fault("busy"),
    "0x72": _fault("nrc", nrc=0x72),
    "0x73": _fault("wrong_counter", service=0x36),
    "0x92": _fault("nrc", nrc=0x92),
    "0x93": _fault("nrc", nrc=0x93),
    "0x22 at an odd moment": _fault("nrc", nrc=0x22),
    "reset in the middle": _fault("reset"),
    "lockout": lambda rng: {"do": "lock_out", "for_s": round(rng.uniform(0.2, 4.0), 2)},
    "answer lost": _fault("drop_answer"),
    "slower than P2*": lambda rng: {
        "do": "fault",
        "fault": "late_answer",
        "seconds": round(rng.uniform(2.1, 4.0), 2),
    },
    "late answer": lambda rng: {
        "do": "fault",
        "fault": "late_answer",
        "seconds": round(rng.uniform(0.4, 1.9), 2),
    },
}


# Kit ----------------------------------------------------------------------------------------------


def _kit(rng: random.Random, _kind: Kind) -> Fault:
    name = rng.choice(tuple(_KIT_FAULTS))
    return Fault(category="kit", name=name, at=_moment(rng), kit=_KIT_FAULTS[name](rng))


def _process(rng: random.Random) -> str:
    return rng.choice(("hw", "hw", "appliance"))


_KIT_FAULTS: dict[str, Callable[[random.Random], dict[str, Any]]] = {
    "SIGKILL": lambda rng: {"do": "kill", "process": _process(rng)},
    "SIGSTOP": lambda rng: {
        "do": "stop",
        "process": _process(rng),
        "for_s": round(10 ** rng.uniform(-2, 0.5), 3),
    },
    "power cut": lambda _rng: {"do": "power_cut"},
    "CPU starved": lambda rng: {
        "do": "starve",
        "process": _process(rng),
        "stop_s": round(rng.uniform(0.005, 0.15), 4),
        "go_s": round(rng.uniform(0.005, 0.05), 4),
        "for_s": round(rng.uniform(0.3, 2.0), 2),
    },
    "disk full": lambda rng: {"do": "fill", "where": rng.choice(("state", "a", "b"))},
    "medium pulled": lambda rng: {"do": "pull", "where": rng.choice(("a", "b"))},
    "medium read-only": lambda rng: {"do": "read_only", "where": rng.choice(("a", "b"))},
    "bit flips": lambda rng: {
        "do": "flip",
        "where": rng.choice(("a", "b")),
        "bits": rng.randint(1, 8),
        "seed": rng.randrange(1 << 30),
    },
    "clock jump": lambda rng: {"do": "clock", "days": rng.choice((-3650, -400, -1, 1, 400, 3650))},
}


# Input --------------------------------------------------------------------------------------------

# What only a person at the car or the file can do wrong; the rest are tricks of `forger.Forger`.
WRONG = (
    "wrong ECU on the cable",
    "ECU exchanged before the write",
    "ECU exchanged before the recovery",
    "file for another variant",
    "file edited by one byte",
    "backup of another ECU",
    "acknowledgment used twice",
    *FORGED,
)


def _input(rng: random.Random, _kind: Kind) -> Fault:
    wrong = rng.choice(WRONG)
    return Fault(category="input", name=wrong, at=Moment(phase="write"), wrong=wrong)


_DRAWS: dict[str, Callable[[random.Random, Kind], Fault]] = {
    "voltage": _voltage,
    "bus": _bus,
    "ecu": _ecu,
    "kit": _kit,
    "input": _input,
}
