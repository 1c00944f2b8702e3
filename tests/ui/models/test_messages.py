"""Messages: three kinds, one at a time, and nothing happens unless it is confirmed."""

from __future__ import annotations

from tests.ui.models.fake import refusal
from ui.models.messages import MessagesModel


def kind(it: MessagesModel) -> str:
    return it.state.kind


def test_a_confirmation_acts_only_if_it_is_confirmed() -> None:
    it, done = MessagesModel(), list[str]()
    it.ask("End it?", "It can be recovered.", "End", lambda: done.append("ended"))
    assert (kind(it), it.state.yes, it.state.no) == ("confirmation", "End", "Cancel")
    it.dismiss()
    assert (kind(it), done) == ("", [])
    it.ask("End it?", "It can be recovered.", "End", lambda: done.append("ended"))
    it.confirm()
    assert (kind(it), done) == ("", ["ended"])
    it.confirm()
    assert done == ["ended"]


def test_messages_wait_in_order_and_the_same_one_is_said_once() -> None:
    it = MessagesModel()
    it.warn("Low supply.", "Plug it in.")
    it.error(refusal("x", "No.", "Yes."))
    it.error(refusal("x", "No.", "Yes."))
    assert (kind(it), it.state.waiting) == ("warning", 1)
    it.confirm()
    assert (kind(it), it.state.what, it.state.next_step) == ("error", "No.", "Yes.")
    it.confirm()
    assert kind(it) == ""
