"""Who is let in: the first time, every time, and nobody by trying."""

from __future__ import annotations

import re

import httpx

from appliance.workshop import proofs
from appliance.workshop.office.pages import COOKIE
from appliance.workshop.people import SESSION_S, TRIES_OF_NAME, TRIES_S
from tests.appliance.workshop.office.conftest import PASSWORD, Desk, csrf_of
from tests.test_workshop import workshop_json


def log_in(client: httpx.Client, name: str, code: str, password: str = PASSWORD) -> httpx.Response:
    return client.post("/login", data={"name": name, "password": password, "code": code})


def test_a_first_login_sets_password_and_phone_and_its_word_is_good_once(desk: Desk) -> None:
    word = desk.people.add("Anna", "office", "the test")
    with desk.nobody() as client:
        answer = client.post("/first", data={"name": "Anna", "word": word})
        assert (answer.status_code, answer.headers["location"]) == (303, "/first/set")
        page = client.get("/first/set").text
        assert client.get("/jobs").headers["location"] == "/first", "a first login opens no page"
        found = re.search(r'class="secret">([A-Z2-7]+)<', page)
        assert found is not None
        form = {"csrf": csrf_of(page), "password": PASSWORD, "again": PASSWORD, "code": "000000"}
        refused = client.post("/first/set", data=form)
        assert (refused.status_code, "not what the phone shows" in refused.text) == (400, True)
        short = {**form, "password": "short", "again": "short"}
        assert "12 to 200" in client.post("/first/set", data=short).text
        form["code"] = proofs.totp_code(found[1], desk.now())
        done = client.post("/first/set", data=form)
        assert (done.status_code, done.headers["location"]) == (303, "/jobs")
        assert "Anna" in client.get("/jobs").text
    with desk.nobody() as client:
        assert client.post("/first", data={"name": "Anna", "word": word}).status_code == 401


def test_password_and_code_let_in_and_a_code_is_taken_once(desk: Desk) -> None:
    olga = desk.members["office"]
    desk.workshop.clock[0] += proofs.STEP_S
    code = olga.code(desk.now())
    with desk.nobody() as client:
        answer = log_in(client, olga.name, code)
        assert answer.status_code == 303
        cookie = answer.headers["set-cookie"]
        assert cookie.startswith(f"{COOKIE}=")
        for word in ("Secure", "HttpOnly", "SameSite=strict", "Path=/"):
            assert word in cookie
        assert "Domain" not in cookie
    with desk.nobody() as client:
        again = log_in(client, olga.name, code)
        assert (again.status_code, "set-cookie" in again.headers) == (401, False)


def test_an_unknown_name_a_wrong_password_and_a_wrong_code_are_answered_alike(desk: Desk) -> None:
    tom = desk.members["technician"]
    desk.workshop.clock[0] += TRIES_S + 1
    code = tom.code(desk.now())
    with desk.nobody() as client:
        answers = [
            log_in(client, "Nobody", code),
            log_in(client, tom.name, code, "another password"),
            log_in(client, tom.name, "000000"),
            log_in(client, tom.name, "no code"),
        ]
    assert {answer.status_code for answer in answers} == {401}
    assert len({answer.text for answer in answers}) == 1


def test_after_a_few_tries_even_the_right_password_waits(desk: Desk) -> None:
    tom = desk.members["technician"]
    desk.workshop.clock[0] += TRIES_S + 1
    with desk.nobody() as client:
        for _ in range(TRIES_OF_NAME):
            assert log_in(client, tom.name, "000000").status_code == 401
        waiting = log_in(client, tom.name, tom.code(desk.now()))
        assert (waiting.status_code, "quarter of an hour" in waiting.text) == (429, True)
        desk.workshop.clock[0] += TRIES_S + 1
        assert log_in(client, tom.name, tom.code(desk.now())).status_code == 303


def test_a_session_ends_with_the_working_day_and_with_logging_out(desk: Desk) -> None:
    with desk.somebody("office") as client:
        assert client.get("/jobs").status_code == 200
        desk.workshop.clock[0] += SESSION_S + 1
        ended = client.get("/jobs")
        assert (ended.status_code, ended.headers["location"]) == (303, "/login")
        part = client.get("/jobs", headers={"HX-Request": "true"})
        assert part.headers["hx-redirect"] == "/login"
    with desk.somebody("office") as client:
        csrf = csrf_of(client.get("/jobs").text)
        assert client.post("/logout", data={"csrf": csrf}).status_code == 303
        assert client.get("/jobs").headers["location"] == "/login"


def test_a_form_without_the_sessions_word_or_from_elsewhere_is_refused(desk: Desk) -> None:
    with desk.somebody("office") as client:
        csrf = csrf_of(client.get("/jobs").text)
        assert client.post("/logout").status_code == 403
        assert client.post("/logout", data={"csrf": "wörd"}).status_code == 403
        foreign = {"Origin": "https://example.org"}
        assert client.post("/logout", data={"csrf": csrf}, headers=foreign).status_code == 403
        assert client.get("/jobs").status_code == 200, "still logged in"
    with desk.nobody() as client:
        form = {"name": "Tom", "password": PASSWORD, "code": "000000"}
        assert client.post("/login", data=form, headers=foreign).status_code == 403


def test_every_answer_says_what_a_browser_may_do_with_it(desk: Desk) -> None:
    with desk.nobody() as client:
        for path in ("/login", "/static/office.css", "/no/such/page"):
            headers = client.get(path).headers
            policy = headers["content-security-policy"]
            assert "default-src 'none'" in policy
            assert "unsafe" not in policy
            assert headers["x-content-type-options"] == "nosniff"
        assert client.get("/login").headers["cache-control"] == "no-store"
        assert client.post("/login", content=b"x" * (1 << 20)).status_code == 413


def test_the_first_owner_is_made_at_the_workshops_machine(desk: Desk) -> None:
    folder = desk.workshop.folder
    word = workshop_json(folder, "person", "add", "Nora", "--role", "owner")["word"]
    newer = workshop_json(folder, "person", "renew", "Nora")["word"]
    people = workshop_json(folder, "person", "list")["people"]
    assert {"name": "Nora", "role": "owner", "set_up": False} in people
    with desk.nobody() as client:
        assert client.post("/first", data={"name": "Nora", "word": word}).status_code == 401
        assert client.post("/first", data={"name": "Nora", "word": newer}).status_code == 303
