"""The base of all models: who is told what, and when."""

from __future__ import annotations

from msgspec import Struct

from ui.models.base import ViewModel


class Light(Struct, frozen=True, kw_only=True):
    on: bool = False
    colour: str = "white"


class Lamp(ViewModel[Light]):
    def turn(self, **fields: object) -> None:
        self._change(**fields)


def test_a_subscriber_gets_the_present_state_and_each_that_differs() -> None:
    lamp, seen = Lamp(Light()), list[Light]()
    lamp.subscribe(seen.append)
    lamp.turn(on=True)
    lamp.turn(on=True)
    lamp.turn(on=True, colour="red")
    assert seen == [Light(), Light(on=True), Light(on=True, colour="red")]


def test_who_has_left_is_not_told() -> None:
    lamp, seen = Lamp(Light()), list[Light]()
    leave = lamp.subscribe(seen.append)
    leave()
    leave()
    lamp.turn(on=True)
    assert seen == [Light()]


def test_a_change_made_while_telling_leaves_nobody_behind() -> None:
    lamp, seen = Lamp(Light()), list[Light]()
    lamp.subscribe(lambda light: lamp.turn(colour="red") if light.on else None)
    lamp.subscribe(seen.append)
    lamp.turn(on=True)
    assert seen[-1] == Light(on=True, colour="red") == lamp.state
