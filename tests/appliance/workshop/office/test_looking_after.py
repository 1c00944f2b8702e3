"""What the office looks after: conflicts that are settled, silent kits, notes, times, prints."""

from __future__ import annotations

import html
import re
import subprocess
from pathlib import Path

import msgspec
import pytest
from playwright.sync_api import Browser, expect

from appliance.sync.silence import LIMIT_DAYS
from appliance.workshop.conflicts import conflicts_of_job
from appliance.workshop.export.writing import export_workshop
from appliance.workshop.notes import LONGEST, notes_of_job
from appliance.workshop.tables import HubDatabase, Models
from tests.appliance.records.sample import new_job, open_records
from tests.appliance.workshop.conftest import Workshop
from tests.appliance.workshop.office.conftest import (
    PICTURES,
    Desk,
    Shop,
    arrived,
    csrf_of,
    enrolled_kit,
    looking,
    member,
    written_job,
)
from tests.appliance.workshop.test_handover import Kit

DAY_S = 86_400


def refused_job(kit: Kit, workshop: Workshop, folder: Path) -> tuple[str, str]:
    """A record of a kit that was set back, refused; its job and its content's hash."""
    with open_records(folder, kit.records.kit_key) as older:
        back = Kit(older, workshop, kit.hub)
        job = new_job(older, name="Somebody else")
        back.outbox.freeze()
        assert back.hand_over().put_aside == 1
        (item,) = back.outbox.items(("QUARANTINED",))
        return job, item.sha256


# Conflicts ----------------------------------------------------------------------------------------


def test_a_conflict_leaves_the_list_when_the_office_says_what_was_decided(
    desk: Desk, tmp_path: Path
) -> None:
    job, sha256 = refused_job(desk.kit, desk.workshop, tmp_path)
    hub, path = desk.workshop.hub, f"/conflicts/{sha256}/settle"
    with desk.somebody("office") as client:
        page = client.get("/conflicts").text
        csrf = csrf_of(page)
        assert re.search(r'Conflicts <strong class="alarm">\d+ open', page)
        for nothing in ("", "  ", "x" * 501):
            answer = client.post(path, data={"csrf": csrf, "decision": nothing})
            assert (answer.status_code, "must be said" in answer.text) == (400, True)
        said = {"csrf": csrf, "decision": "Van 1 was set back; it has new keys now."}
        assert client.post(path, data=said).status_code == 303
        assert sha256 not in client.get("/conflicts").text
        settled = html.unescape(client.get("/conflicts?settled=1").text)
        assert said["decision"] in settled
        assert "Olga, <time" in settled
        assert [one.decision for one in conflicts_of_job(hub.database, job)] == [said["decision"]]
        again = client.post(path, data=said)
        assert (again.status_code, "Olga has settled this" in again.text) == (400, True)
        assert client.post("/conflicts/0/settle", data=said).status_code == 404
    with desk.somebody("owner") as client:
        assert "settled a conflict" in client.get("/audit").text


def test_a_job_finds_its_conflicts_in_a_database_that_had_not_named_them(
    desk: Desk, tmp_path: Path
) -> None:
    job, sha256 = refused_job(desk.kit, desk.workshop, tmp_path)
    database, folder = desk.workshop.hub.database, desk.workshop.folder

    def as_before(tables: Models) -> None:
        tables.conflicts.update(job="").execute()
        counters = tables.counters
        counters.update(value=4).where(counters.name == "schema").execute()

    database.write(as_before)
    assert conflicts_of_job(database, job) == []
    HubDatabase(str(folder / "hub.db")).close()
    assert [one.sha256 for one in conflicts_of_job(database, job)] == [sha256]


# Kits ---------------------------------------------------------------------------------------------


def test_a_kit_that_was_not_heard_for_a_month_is_marked_until_it_comes_again(desk: Desk) -> None:
    mark = f"silent for {LIMIT_DAYS} days"
    desk.kit.hub.hello("1", 0, 0)
    with desk.somebody("technician") as client:
        assert mark not in client.get("/kits").text
    desk.workshop.clock[0] += LIMIT_DAYS * DAY_S + 60
    try:
        with desk.somebody("technician") as client:
            assert mark in client.get("/kits").text
            assert 'Kits <strong class="alarm">1 silent' in client.get("/jobs").text
            desk.kit.hub.hello("1", 0, 0)
            assert mark not in client.get("/kits").text
            assert "silent" not in client.get("/jobs").text
    finally:
        desk.workshop.clock[0] -= LIMIT_DAYS * DAY_S + 60


def test_a_kit_that_was_shut_out_is_not_marked_as_silent(
    workshop: Workshop, tmp_path: Path
) -> None:
    hub, folder = workshop.hub, tmp_path / "kit"
    folder.mkdir()
    with enrolled_kit(workshop, folder):
        workshop.clock[0] += LIMIT_DAYS * DAY_S + 60
        (there,) = hub.kits()
        assert there["silent"]
        hub.revoke(there["id"])
        (there,) = hub.kits()
        assert not there["silent"]


# Notes --------------------------------------------------------------------------------------------


def test_a_note_on_a_job_says_who_wrote_it_and_goes_into_the_export(
    desk: Desk, tmp_path: Path
) -> None:
    path, hub = f"/jobs/{desk.job}", desk.workshop.hub
    words = "Called back.\nWants <b>both</b> keys."
    with desk.somebody("technician") as client:
        page = client.get(path).text
        csrf = csrf_of(page)
        assert "Office notes, not part of the signed record" in page
        for wrong in ("", " \r\n ", "x" * (LONGEST + 1)):
            refused = client.post(f"{path}/notes", data={"csrf": csrf, "text": wrong})
            assert refused.status_code == 400
            assert f">{wrong.strip()}</textarea>" in refused.text, "what was written is not lost"
        client.post(f"{path}/notes", data={"csrf": csrf, "text": words.replace("\n", "\r\n")})
        page = client.get(path).text
        assert html.escape(words) in page
        assert "Tom, <time" in page
        nowhere = client.post("/jobs/nowhere/notes", data={"csrf": csrf, "text": words})
        assert nowhere.status_code == 404
    (kept,) = notes_of_job(hub.database, desk.job)
    assert (kept.who, kept.text) == ("Tom", words)
    export_workshop(hub, desk.workshop.keys.authority, tmp_path / "export")
    lines = (tmp_path / "export" / "notes.jsonl").read_bytes().splitlines()
    (line,) = [msgspec.json.decode(one) for one in lines]
    assert (line["job"], line["text"], line["who"]) == (desk.job, words, "Tom")


# Times and prints, in a browser -------------------------------------------------------------------


@pytest.fixture(scope="module")
def job(shop: Shop) -> str:
    """A job that lies at the hub."""
    return arrived(shop.kit, written_job(shop.kit.records))


@pytest.mark.timeout(400)
def test_times_are_those_of_the_reader_also_of_what_comes_later(
    shop: Shop, chromium: Browser, job: str
) -> None:
    name = member(shop.people, "Zanele", "office").name
    with looking(chromium, shop, name, zone="Africa/Johannesburg") as window:
        page = window.page
        window.open("/jobs")
        expect(page.get_by_text("Times are those of Africa/Johannesburg.")).to_be_visible()
        cell = page.locator("tr", has=page.locator(f"#job-{job}")).locator("time")
        utc, shown = str(cell.get_attribute("title")), str(cell.text_content())
        assert utc.endswith("UTC")
        assert minutes(shown) - minutes(utc) in (2 * 60, -22 * 60)
        later = arrived(shop.kit, new_job(shop.kit.records, "Later"))
        row = page.locator("tr", has=page.locator(f"#job-{later}"))
        expect(row.locator("time")).not_to_contain_text("UTC")
        window.open(f"/jobs/{job}")
        expect(page.locator(".timeline time").first).not_to_contain_text("UTC")
        window.open("/account")
        window.picture("account")


def minutes(text: str) -> int:
    """Since midnight."""
    found = re.search(r"(\d\d):(\d\d)", text)
    assert found is not None
    return int(found[1]) * 60 + int(found[2])


@pytest.mark.timeout(400)
def test_a_print_has_the_content_alone(shop: Shop, chromium: Browser, job: str) -> None:
    name = member(shop.people, "Paul", "office").name
    with looking(chromium, shop, name) as window:
        page = window.page
        for address, title in (("/jobs", "jobs"), (f"/jobs/{job}", "job")):
            window.open(address)
            page.emulate_media(media="print")
            for gone in page.locator("header, form, main button").all():
                expect(gone).to_be_hidden()
            expect(page.get_by_role("heading", level=1)).to_be_visible()
            PICTURES.mkdir(parents=True, exist_ok=True)
            page.pdf(path=PICTURES / f"print-{title}.pdf", format="A4")


@pytest.mark.timeout(400)
def test_the_office_settles_and_notes_by_keyboard_alone(
    shop: Shop, chromium: Browser, job: str, tmp_path: Path
) -> None:
    workshop = Workshop(shop.hub, shop.keys, shop.address, tmp_path)
    refused, _ = refused_job(shop.kit, workshop, tmp_path)
    long_ago = int(shop.people.now()) - LIMIT_DAYS * DAY_S - 60
    shop.hub.database.write(
        lambda tables: tables.kits.update(hello=long_ago, enrolled=long_ago).execute()
    )
    name = member(shop.people, "Nandi", "office").name
    with looking(chromium, shop, name) as window:
        page, keys = window.page, window.page.keyboard
        window.open("/kits")
        expect(page.get_by_role("link", name="Kits 1 silent")).to_be_visible()
        window.picture("kits-silent")
        window.open("/conflicts")
        page.locator("summary").focus()
        keys.press("Enter")
        window.picture("conflicts-open")
        keys.press("Tab")
        keys.type("Van 1 was set back; it has new keys now.")
        keys.press("Enter")
        expect(page.get_by_text("There is none.")).to_be_visible()
        page.get_by_role("link", name="Settled ones").focus()
        keys.press("Enter")
        expect(page.get_by_role("cell", name="it has new keys now")).to_be_visible()
        expect(page.get_by_role("link", name=refused)).to_be_visible()
        window.picture("conflicts-settled")
        window.open(f"/jobs/{job}")
        page.get_by_label("A new note").focus()
        keys.type("Called back.")
        keys.press("Enter")
        keys.type("Wants both keys.")
        keys.press("Tab")
        keys.press("Enter")
        expect(page.get_by_text("Called back.\nWants both keys.")).to_be_visible()
        window.picture("job-notes")


@pytest.mark.timeout(400)
def test_a_printed_list_repeats_its_headings_on_every_sheet(
    shop: Shop, chromium: Browser, job: str, tmp_path: Path
) -> None:
    name = member(shop.people, "Piet", "office").name
    with looking(chromium, shop, name) as window:
        window.open("/jobs")
        row = window.page.locator("tr", has=window.page.locator(f"#job-{job}"))
        row.evaluate("row => { for (let i = 0; i < 60; i++) row.after(row.cloneNode(true)); }")
        window.page.pdf(path=tmp_path / "long.pdf", format="A4")
    text = subprocess.run(
        ["pdftotext", "-layout", tmp_path / "long.pdf", "-"],
        check=True, capture_output=True, text=True,
    ).stdout  # fmt: skip
    sheets = text.rstrip("\f").split("\f")
    assert len(sheets) > 2
    assert all("Arrived" in sheet for sheet in sheets if "Golf" in sheet)


def test_a_customer_who_mistypes_is_not_led_into_the_office(desk: Desk) -> None:
    with desk.nobody() as client:
        for path in ("/mail-in/not-a-token", "/mail-in/x/y", "/mail-in/x/slip.pdf", "/mail-inn"):
            answer = client.get(path)
            assert answer.status_code == 404
            for way in ('href="/"', 'href="/jobs"', "list of jobs", "/login"):
                assert way not in answer.text, path
    with desk.somebody("technician") as client:
        assert "list of jobs" in client.get("/jobs/nowhere").text
