"""One's own password, changed by whoever knows the one until now."""

from __future__ import annotations

import html

import httpx
import pytest

from appliance.workshop import proofs
from appliance.workshop.audit import entries
from appliance.workshop.people import TRIES_OF_NAME, TRIES_S
from tests.appliance.workshop.office.conftest import PASSWORD, Desk, csrf_of, member

NEW = "another four words here"


def changed(client: httpx.Client, **fields: str) -> httpx.Response:
    form = {"csrf": csrf_of(client.get("/account").text), "password": PASSWORD, "new": NEW}
    return client.post("/account/password", data={**form, "again": NEW, **fields})


def counts(desk: Desk, name: str, password: str) -> bool:
    return proofs.fits(password, desk.people._by_name(name).password)


def test_a_password_is_changed_by_the_one_until_now_and_ends_what_else_is_open(desk: Desk) -> None:
    member(desk.people, "Petra", "technician")
    with desk.as_person("Petra") as here, desk.as_person("Petra") as elsewhere:
        assert elsewhere.get("/jobs").status_code == 200
        answer = changed(here)
        assert answer.headers["location"] == "/account?password=changed"
        assert "was changed" in here.get("/account?password=changed").text
        assert elsewhere.get("/jobs").status_code == 303, "logged out"
    assert not counts(desk, "Petra", PASSWORD)
    assert counts(desk, "Petra", NEW)
    newest = entries(desk.workshop.hub.database)[0]
    assert (newest.who, newest.did) == ("Petra", "changed the password")


@pytest.mark.parametrize(
    ("wrong", "why"),
    [
        ({"password": "not the password"}, "The password until now is another one."),
        ({"again": "another four words hear"}, "The two new passwords differ."),
        ({"new": "short", "again": "short"}, "12"),
        ({"csrf": "forged"}, "does not come from a page of this workshop"),
    ],
)
def test_a_password_is_not_changed_and_the_page_says_why(
    desk: Desk, wrong: dict[str, str], why: str
) -> None:
    desk.workshop.clock[0] += TRIES_S + 1
    with desk.somebody("office") as client:
        answer = changed(client, **wrong)
    assert answer.status_code in (400, 403)
    assert why in html.unescape(answer.text)
    assert counts(desk, "Olga", PASSWORD)


def test_who_guesses_the_password_of_an_open_window_is_held_up(desk: Desk) -> None:
    desk.workshop.clock[0] += TRIES_S + 1
    with desk.somebody("owner") as client:
        for _ in range(TRIES_OF_NAME):
            changed(client, password="guessed")
        answer = changed(client)
    assert "too many tries" in html.unescape(answer.text)
    assert counts(desk, "Oskar", PASSWORD)
    desk.workshop.clock[0] += TRIES_S + 1
