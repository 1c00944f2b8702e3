"""One's own password and phone, changed by whoever knows the password until now."""

from __future__ import annotations

import html
import re

import httpx
import pytest
from playwright.sync_api import Browser, expect

from appliance.workshop import proofs
from appliance.workshop.audit import entries
from appliance.workshop.errors import NotLetIn
from appliance.workshop.people import TRIES_OF_NAME, TRIES_S
from tests.appliance.workshop.office.conftest import (
    PASSWORD,
    Desk,
    Shop,
    csrf_of,
    looking,
    member,
)

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
        assert answer.headers["location"] == "/account?changed=password"
        assert "Your password was changed" in here.get("/account?changed=password").text
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
    assert answer.status_code == 429
    assert "too many tries" in html.unescape(answer.text)
    assert counts(desk, "Oskar", PASSWORD)
    desk.workshop.clock[0] += TRIES_S + 1


# Another phone ------------------------------------------------------------------------------------


def begun(client: httpx.Client, password: str = PASSWORD) -> httpx.Response:
    form = {"csrf": csrf_of(client.get("/account").text), "password": password}
    return client.post("/account/phone", data=form)


def confirmed(client: httpx.Client, code: str) -> httpx.Response:
    form = {"csrf": csrf_of(client.get("/account").text), "code": code}
    return client.post("/account/phone/set", data=form)


def secret_in(page: str) -> str:
    found = re.search(r'class="secret">([A-Z2-7]+)<', page)
    assert found is not None
    return found[1]


def test_another_phone_counts_once_it_showed_a_code_and_ends_what_else_is_open(desk: Desk) -> None:
    old = member(desk.people, "Paula", "technician")
    # Codes are taken once: the next logins are each in a later step of time.
    desk.workshop.clock[0] += 60
    with desk.as_person("Paula") as here, desk.as_person("Paula") as elsewhere:
        secret = secret_in(begun(here).text)
        for wrong in ("", "000000", "abcdef", "1234567", old.code(desk.now())):
            answer = confirmed(here, wrong)
            assert answer.status_code == 400
            assert "the old one still counts" in html.unescape(answer.text)
            assert secret not in answer.text, "told once"
        assert confirmed(elsewhere, proofs.totp_code(secret, desk.now())).status_code == 400
        assert desk.people.log_in("Paula", PASSWORD, old.code(desk.now()), "127.0.0.1")
        desk.workshop.clock[0] += 60
        answer = confirmed(here, proofs.totp_code(secret, desk.now()))
        assert answer.headers["location"] == "/account?changed=phone"
        assert "Your phone was changed" in here.get("/account?changed=phone").text
        assert elsewhere.get("/jobs").status_code == 303, "logged out"
        again = confirmed(here, proofs.totp_code(secret, desk.now() + 30))
        assert "No other phone was begun" in again.text
    newest = entries(desk.workshop.hub.database)[0]
    assert (newest.who, newest.did) == ("Paula", "set up another phone")
    desk.workshop.clock[0] += 60
    with pytest.raises(NotLetIn):
        desk.people.log_in("Paula", PASSWORD, old.code(desk.now()), "127.0.0.1")
    assert desk.people.log_in("Paula", PASSWORD, proofs.totp_code(secret, desk.now()), "127.0.0.1")


def test_no_phone_is_begun_without_the_password_and_the_try_counts(desk: Desk) -> None:
    member(desk.people, "Quentin", "office")
    desk.workshop.clock[0] += TRIES_S + 1
    with desk.as_person("Quentin") as client:
        for guess in ("", "guessed", *["x" * 200] * (TRIES_OF_NAME - 2)):
            answer = begun(client, guess)
            assert answer.status_code == 400
            assert "The password until now is another one." in answer.text
            assert 'class="qr"' not in answer.text
        newest = entries(desk.workshop.hub.database)[0]
        assert (newest.who, newest.did) == ("Quentin", "gave a wrong password on the own account")
        held_up = begun(client)
        assert held_up.status_code == 429
        assert 'class="qr"' not in held_up.text
    desk.workshop.clock[0] += TRIES_S + 1


@pytest.mark.timeout(400)
def test_another_phone_by_keyboard_alone(shop: Shop, chromium: Browser) -> None:
    name = member(shop.people, "Rosa", "technician").name
    with looking(chromium, shop, name) as window:
        page = window.page
        window.open("/account")
        page.get_by_label("Your password").focus()
        page.keyboard.type(PASSWORD)
        page.keyboard.press("Enter")
        expect(page.get_by_label("Code that the new phone")).to_be_focused()
        window.picture("phone")
        secret = page.locator(".secret").inner_text()
        page.keyboard.type(proofs.totp_code(secret, shop.people.now()))
        page.keyboard.press("Enter")
        expect(page.get_by_role("status")).to_contain_text("Your phone was changed")
        window.picture("account")
