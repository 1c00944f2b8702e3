"""Faults of the wire: what of a frame arrives."""

from __future__ import annotations

from hw import clock
from hw.sim.disturb import Disturbance, Wire

FRAME = bytes.fromhex("0322f190")
FLOW_CONTROL = bytes.fromhex("300000")


def test_a_healthy_wire_delivers_every_frame_once() -> None:
    wire = Wire()
    assert [wire.deliver(FRAME) for _ in range(3)] == [[FRAME]] * 3
    assert wire.hold_s() == 0.0


def test_lost_and_doubled_frames_are_as_many_as_were_asked_for() -> None:
    wire = Wire()
    wire.add(Disturbance("lose", count=2))
    assert [wire.deliver(FRAME) for _ in range(3)] == [[], [], [FRAME]]
    wire.add(Disturbance("duplicate"))
    assert [wire.deliver(FRAME) for _ in range(2)] == [[FRAME, FRAME], [FRAME]]


def test_only_flow_control_is_spoilt_and_keeps_its_length() -> None:
    wire = Wire()
    wire.add(Disturbance("flow_control"))
    assert wire.deliver(FRAME) == [FRAME]
    (spoilt,) = wire.deliver(FLOW_CONTROL)
    assert spoilt != FLOW_CONTROL
    assert len(spoilt) == len(FLOW_CONTROL)
    assert spoilt[0] >> 4 == 3
    assert wire.deliver(FLOW_CONTROL) == [FLOW_CONTROL]


def test_a_chance_strikes_some_frames_and_not_others() -> None:
    wire = Wire(seed=7)
    wire.add(Disturbance("lose", count=1000, chance=0.5))
    arrived = sum(len(wire.deliver(FRAME)) for _ in range(200))
    assert 50 < arrived < 150


def test_an_open_wire_delivers_nothing_until_it_is_healed() -> None:
    wire = Wire()
    wire.add(Disturbance("open"))
    assert wire.deliver(FRAME) == []
    wire.heal()
    assert wire.deliver(FRAME) == [FRAME]


def test_a_timed_fault_is_over_when_its_time_is() -> None:
    wire = Wire()
    wire.add(Disturbance("bus_off", until=clock.now() - 1e-6))
    wire.add(Disturbance("hold", until=clock.now() + 60.0))
    assert wire.deliver(FRAME) == [FRAME]
    assert 59.0 < wire.hold_s() <= 60.0
