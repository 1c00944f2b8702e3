"""What each page shows and to whom, asked for by a program."""

from __future__ import annotations

import hashlib
import html
import re
import subprocess
from pathlib import Path

import httpx
import pytest

from appliance.records import events as e
from appliance.sync.enrolcode import read_code
from appliance.sync.order import Booking
from appliance.workshop.office.app import make_office, page_routes
from appliance.workshop.office.pages import COOKIE
from appliance.workshop.people import ROLES
from tests.appliance.records.sample import VIN, new_job, open_records
from tests.appliance.records.test_report import agreement
from tests.appliance.workshop.office.conftest import Desk, arrived, cookie_of, csrf_of, member
from tests.appliance.workshop.test_handover import IMAGE, Kit

OPEN = {
    "/", "/login", "/first", "/first/set", "/login/passkey", "/login/passkey/options",
    "/mail-in", "/mail-in/{token}", "/mail-in/{token}/slip.pdf",
}  # fmt: skip
"""Open to everybody; a customer's token is only theirs."""
LEAST = {
    ("POST", "/backups/{backup}/check"): "office",
    ("GET", "/kits/enrol"): "owner",
    ("POST", "/kits/enrol"): "owner",
    ("GET", "/kits/revoke"): "owner",
    ("POST", "/kits/revoke"): "owner",
    ("GET", "/people"): "owner",
    ("POST", "/people/add"): "owner",
    ("POST", "/people/{person}/role"): "owner",
    ("POST", "/people/{person}/renew"): "owner",
    ("POST", "/people/{person}/remove"): "owner",
    ("GET", "/technicians"): "owner",
    ("POST", "/technicians"): "owner",
    ("POST", "/technicians/remove"): "owner",
    ("GET", "/audit"): "owner",
    ("GET", "/jobs"): "technician",
    ("GET", "/jobs/{job}"): "technician",
    ("POST", "/jobs/{job}/notes"): "technician",
    ("GET", "/jobs/{job}/report.pdf"): "technician",
    ("GET", "/jobs/{job}/voltage.svg"): "technician",
    ("GET", "/jobs/{job}/signature.svg"): "technician",
    ("GET", "/orders"): "technician",
    ("GET", "/orders/new"): "office",
    ("POST", "/orders/new"): "office",
    ("GET", "/orders/{reference}"): "technician",
    ("GET", "/orders/{reference}/edit"): "office",
    ("POST", "/orders/{reference}/edit"): "office",
    ("POST", "/orders/{reference}/state"): "office",
    ("POST", "/orders/{reference}/kit"): "office",
    ("GET", "/orders/{reference}/slip.pdf"): "technician",
    ("GET", "/orders/{reference}/photos/{sha256}"): "technician",
    ("GET", "/backups"): "technician",
    ("GET", "/kits"): "technician",
    ("GET", "/conflicts"): "technician",
    ("GET", "/conflicts/{sha256}.json"): "technician",
    ("POST", "/conflicts/{sha256}/settle"): "office",
    ("GET", "/account"): "technician",
    ("POST", "/account/password"): "technician",
    ("POST", "/account/phone"): "technician",
    ("POST", "/account/phone/set"): "technician",
    ("POST", "/account/passkey/options"): "technician",
    ("POST", "/account/passkey"): "technician",
    ("POST", "/account/passkey/remove"): "technician",
}
"""Who may do what, as it was decided; everything that is not here fails a test."""
NOT_THERE = "01a20000-0000-7000-8000-000000000000"


def places(desk: Desk) -> list[tuple[str, str]]:
    """Every page that there is."""
    office = make_office(desk.workshop.hub, desk.workshop.keys)
    return [
        (method, route.path)
        for route in page_routes(office)
        if route.path not in {*OPEN, "/logout"}
        for method in sorted((route.methods or set()) - {"HEAD"})
    ]


def ask(client: httpx.Client, method: str, path: str, csrf: str) -> httpx.Response:
    address = re.sub(r"\{[a-z0-9]+\}", NOT_THERE, path)
    return client.request(method, address, data={"csrf": csrf} if method == "POST" else None)


def test_every_page_has_somebody_who_may_see_it_and_refuses_everybody_else(desk: Desk) -> None:
    found = places(desk)
    missing = [place for place in found if place not in LEAST]
    assert missing == [], "decide who may see it"
    with desk.nobody() as client:
        for method, path in found:
            answer = ask(client, method, path, "")
            assert (answer.status_code, answer.headers.get("location")) == (303, "/login"), path
    for role in ROLES:
        with desk.somebody(role) as client:
            csrf = csrf_of(client.get("/jobs").text)
            for method, path in found:
                least = LEAST[method, path]
                answer = ask(client, method, path, csrf)
                if ROLES.index(role) < ROLES.index(least):
                    assert answer.status_code == 403, (role, path)
                    assert f"needs the role &#39;{least}&#39;" in answer.text
                else:
                    assert answer.status_code not in (303, 403, 500) or method == "POST", path
                    assert answer.status_code != 403, (role, path)


def test_a_form_without_its_word_changes_nothing_anywhere(desk: Desk) -> None:
    with desk.somebody("owner") as client:
        for method, path in places(desk):
            if method == "POST":
                assert ask(client, method, path, "").status_code == 403, path


def test_a_jobs_page_tells_what_was_done_on_what_evidence(desk: Desk) -> None:
    with desk.somebody("technician") as client:
        page = html.unescape(client.get(f"/jobs/{desk.job}").text)
    for words in (
        VIN, "Zoë Müller", "Stalls when hot", "Simulated here: car", "Van 1",
        "FKIT-14C204-AA", "<strong>1.0.8</strong>", "0x33 securityAccessDenied",
        "12.81 V for 10 s.", "volts: 12.81", "User acknowledgment",
        "gate HELD", "11.6 V is below 12.0 V.", "write ended",
        "The ECU holds the new calibration and checked it.",
        "whole when it arrived", "fieldkit workshop open 01a20000-0000-7000-8000-00000000000b",
    ):  # fmt: skip
        assert words in page, words


def test_a_jobs_page_has_the_order_with_its_photos_and_what_the_customer_signed(
    desk: Desk,
) -> None:
    hub, photo = desk.workshop.hub, b"\xff\xd8 a photo"
    name = hashlib.sha256(photo).hexdigest()
    hub.blobs.add(name, 0, len(photo), photo)
    booking = Booking(way="mail_in", customer="Thandi", phone="082", vin=VIN, photos=[name])
    kept = hub.orders.book(booking, "once")
    records = desk.kit.records
    job = new_job(records)
    records.append(job, e.OrderTaken(order=kept.order.order, reference=kept.order.reference))
    records.append(job, agreement([[(0, 0, 0), (500, 900, 9)], [(700, 1000, 20)]]))
    arrived(desk.kit, job)
    with desk.somebody("technician") as client:
        page = client.get(f"/jobs/{job}").text
        assert f'Order <a href="/orders/{kept.order.reference}">' in page
        assert client.get(f"/orders/{kept.order.reference}/photos/{name}").content == photo
        assert "Signed by Thandi Nkosi" in page
        (drawing,) = re.findall(r'src="(/jobs/[^"]+/signature.svg[^"]+)"', page)
        assert "<polyline" in client.get(html.unescape(drawing)).text
        assert client.get(f"/jobs/{job}/signature.svg?event=1").status_code == 404


def test_the_chart_shows_the_sag_and_the_plans_limits(desk: Desk) -> None:
    with desk.somebody("technician") as client:
        page = client.get(f"/jobs/{desk.job}").text
        (chart,) = re.findall(r'class="chart" src="([^"]+)"', page)
        answer = client.get(html.unescape(chart))
        assert answer.headers["content-type"] == "image/svg+xml"
        for words in ("HELD", "hold 12 V", "cut 11 V", "<polyline"):
            assert words in answer.text
        assert client.get(f"/jobs/{desk.job}/voltage.svg?run=other").status_code == 404


def test_the_report_is_that_of_the_kit(desk: Desk, tmp_path: Path) -> None:
    with desk.somebody("technician") as client:
        answer = client.get(f"/jobs/{desk.job}/report.pdf")
    assert answer.headers["content-type"] == "application/pdf"
    path = tmp_path / "report.pdf"
    path.write_bytes(answer.content)
    text = subprocess.run(
        ["pdftotext", "-layout", path, "-"], check=True, capture_output=True, text=True
    ).stdout
    assert "VERIFIED" in text
    assert VIN in text


def test_a_backup_that_lost_a_byte_is_found_and_said_with_its_date(desk: Desk) -> None:
    backup = "01a20000-0000-7000-8000-00000000000b"
    with desk.somebody("office") as client:
        csrf = csrf_of(client.get("/backups").text)

        def checked() -> str:
            form = {"csrf": csrf, "back": "/backups"}
            assert client.post(f"/backups/{backup}/check", data=form).status_code == 303
            return html.unescape(client.get("/backups").text)

        page = checked()
        assert "whole</span>" in page
        assert re.search(
            r'read again on <time datetime="[^"]+">\d{4}-\d\d-\d\d \d\d:\d\d UTC<', page
        )
        (path,) = [
            one
            for one in (desk.workshop.folder / "store").rglob("*")
            if one.is_file() and one.read_bytes() == IMAGE
        ]
        path.write_bytes(IMAGE[:-1])
        assert "image: 511999 bytes with the hash" in checked()
        path.unlink()
        assert "damaged</span>" in checked()
        path.write_bytes(IMAGE)
        assert "damaged</span>" not in checked()


def test_a_form_leads_back_only_to_a_page_of_the_hub(desk: Desk) -> None:
    backup = "01a20000-0000-7000-8000-00000000000b"
    with desk.somebody("office") as client:
        csrf = csrf_of(client.get("/backups").text)
        for back in ("//example.org/", "https://example.org/", "/\\example.org"):
            answer = client.post(f"/backups/{backup}/check", data={"csrf": csrf, "back": back})
            assert answer.headers["location"] == "/backups"


def test_an_owner_lets_a_kit_in_with_a_code_that_is_shown_once(desk: Desk) -> None:
    with desk.somebody("owner") as client:
        csrf = csrf_of(client.get("/kits/enrol").text)
        form = {"csrf": csrf, "name": "Van 7", "address": "127.0.0.1"}
        page = client.post("/kits/enrol", data=form).text
        found = re.search(r'id="code">([^<]+)<', page)
        assert found is not None
        assert "<svg" in page
        port = desk.workshop.address.rpartition(":")[2]
        word = read_code(found[1])
        assert (word.host, word.port) == ("127.0.0.1", int(port))
        assert word.authority == desk.workshop.keys.fingerprint
        assert found[1] not in client.get("/kits/enrol").text
        wrong = client.post("/kits/enrol", data={**form, "name": "Van 1"})
        assert (wrong.status_code, "kit &#39;Van 1&#39; already" in wrong.text) == (400, True)
        bad = {**form, "name": "Van 8", "address": "example.org"}
        assert client.post("/kits/enrol", data=bad).status_code == 400
        audit = html.unescape(client.get("/audit").text)
        assert re.search(r"Oskar</th>\s*<td>made a word to enrol the kit</td>\s*<td>Van 7", audit)


def test_a_kit_that_was_set_back_is_told_to_the_office(desk: Desk, tmp_path: Path) -> None:
    with open_records(tmp_path, desk.kit.records.kit_key) as older:
        back = Kit(older, desk.workshop, desk.kit.hub)
        new_job(older, name="Somebody else")
        back.outbox.freeze()
        assert back.hand_over().put_aside == 1
        (item,) = back.outbox.items(("QUARANTINED",))
        body = back.outbox.sealed(item).body
    with desk.somebody("technician") as client:
        page = html.unescape(client.get("/conflicts").text)
        assert "the kit was cloned or set back" in page
        kept = client.get(f"/conflicts/{item.sha256}.json")
        assert kept.content == body


def test_an_owner_adds_changes_and_removes_people_and_one_owner_stays(desk: Desk) -> None:
    with desk.somebody("owner") as client:
        csrf = csrf_of(client.get("/people").text)
        page = client.post("/people/add", data={"csrf": csrf, "name": "Ute", "role": "office"}).text
        word = re.search(r'id="word">([^<]+)<', page)
        assert word is not None
        ids = {one.name: one.id for one in desk.people.all()}
        person = f"/people/{ids['Ute']}"
        again = client.post(f"{person}/renew", data={"csrf": csrf}).text
        assert word[1] not in again
        with desk.nobody() as other:
            login = {"name": "Ute", "word": word[1]}
            assert other.post("/first", data=login).status_code == 401, "the new word counts"
        client.post(f"{person}/role", data={"csrf": csrf, "role": "technician"})
        assert {one.name: one.role for one in desk.people.all()}["Ute"] == "technician"
        assert client.post(f"{person}/role", data={"csrf": csrf, "role": "god"}).status_code == 400
        wrong = {"csrf": csrf, "name": "Uta"}
        assert client.post(f"{person}/remove", data=wrong).status_code == 400
        client.post(f"{person}/remove", data={**wrong, "name": "Ute"})
        assert "Ute" not in {one.name for one in desk.people.all()}
        own = {"csrf": csrf, "name": "Oskar"}
        last = client.post(f"/people/{ids['Oskar']}/remove", data=own)
        assert (last.status_code, "only owner" in last.text) == (400, True)
        lower = client.post(f"/people/{ids['Oskar']}/role", data={"csrf": csrf, "role": "office"})
        assert lower.status_code == 400


def test_somebody_who_was_removed_is_logged_out_at_once(desk: Desk) -> None:
    member(desk.people, "Kurt", "office")
    with desk.nobody() as client:
        client.headers["Cookie"] = f"{COOKIE}={cookie_of(desk.people, 'Kurt')}"
        assert client.get("/jobs").status_code == 200
        kurt = next(one.id for one in desk.people.all() if one.name == "Kurt")
        desk.people.remove(kurt, "the test")
        assert client.get("/jobs").headers["location"] == "/login"


def test_what_is_written_by_others_is_never_taken_for_markup(desk: Desk) -> None:
    job = arrived(desk.kit, new_job(desk.kit.records, "<script>alert(1)</script>", "<b>loud</b>"))
    with desk.somebody("technician") as client:
        for path in ("/jobs?words=alert", f"/jobs/{job}"):
            page = client.get(path).text
            assert "&lt;script&gt;" in page
            assert "<script>alert" not in page
            assert "<b>loud" not in page


def test_a_page_that_fails_says_so_in_words_and_keeps_the_reason_to_itself(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_hub: object) -> None:
        raise RuntimeError("the reason")

    monkeypatch.setattr(type(desk.workshop.hub), "kits", fail)
    with desk.somebody("office") as client:
        answer = client.get("/kits")
    assert (answer.status_code, "The page failed." in answer.text) == (500, True)
    assert "the reason" not in answer.text
    assert "content-security-policy" in answer.headers


@pytest.mark.parametrize(
    "address",
    [
        "/jobs/not-a-job", "/jobs/x/report.pdf", "/jobs?before=x&since=yesterday&until=99999-1-1",
        "/jobs?words=%00%25_'%22", "/jobs?state=none&kit=SHA256:x", "/backups?before=²",
        "/kits/revoke?kit=SHA256:none", "/conflicts/../../etc.json", "/audit?before=-1",
    ],
)  # fmt: skip
def test_an_address_that_makes_no_sense_is_answered_in_words(desk: Desk, address: str) -> None:
    with desk.somebody("owner") as client:
        answer = client.get(address)
    assert answer.status_code in (200, 404)
    assert "</html>" in answer.text
