"""A search that takes long is given out in stretches, which the browser asks for one by one."""

from __future__ import annotations

import html
import random
import re
from collections.abc import Iterator

import msgspec
import pytest
from playwright.sync_api import Browser, expect

from appliance.workshop import search
from appliance.workshop.office.pages import COOKIE
from appliance.workshop.tables import Models
from tests.appliance.workshop.office.conftest import Desk, cookie_of
from tests.appliance.workshop.test_search import add_job, view_of

pytestmark = pytest.mark.timeout(400)
JOBS, SLICE = 60, 10


@pytest.fixture
def slow_desk(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> Iterator[Desk]:
    """Golfs and Hiluxes in turn, the oldest of them both; each request looks at ten."""
    for name, value in (("WITHIN_S", -1), ("FEW_JOBS", 0), ("SLICE", SLICE)):
        monkeypatch.setattr(search, name, value)
    draw, database = random.Random(7), desk.workshop.hub.database

    def fill(tables: Models) -> None:
        for number in range(JOBS):
            view = view_of(number, draw)
            car = ("Golf", "Hilux")[number % 2] if number else "Golf Hilux"
            vehicle = msgspec.structs.replace(view.vehicle, description=car)
            view = msgspec.structs.replace(view, vehicle=vehicle, state="verified")
            add_job(tables, view, 1_700_000_000 + number)

    database.write(fill)
    yield desk
    database.write(lambda tables: tables.jobs.delete().where(tables.jobs.kit == "k").execute())
    database.write(lambda tables: tables.words.delete().execute())


def test_a_page_says_how_far_the_search_came_and_links_to_the_rest(slow_desk: Desk) -> None:
    with slow_desk.somebody("office") as client:
        path, pages = "/jobs?words=golf+hilux", list[str]()
        while path:
            pages.append(client.get(path).text)
            assert "No job fits" not in pages[-1]
            link = re.search(r'<a href="([^"]+)">Search further back<', pages[-1])
            assert (link is None) != ('Searched back to <time datetime="2023-11-14' in pages[-1])
            path = html.unescape(link[1]) if link else ""
    assert len(pages) == JOBS // 2 // SLICE + 1
    assert ["Golf Hilux" in page for page in pages] == [False, False, True, False]
    assert "No further job fits" in pages[-1]


def test_a_browser_goes_on_by_itself_until_something_is_found(
    slow_desk: Desk, chromium: Browser
) -> None:
    context = chromium.new_context(ignore_https_errors=True)
    address, people = slow_desk.workshop.address, slow_desk.people
    cookie = cookie_of(people, slow_desk.members["office"].name)
    context.add_cookies([{"name": COOKIE, "value": cookie, "url": address, "secure": True}])
    page = context.new_page()
    page.goto(f"{address}/jobs?words=golf+hilux")
    expect(page.get_by_role("row", name="Golf Hilux")).to_be_visible(timeout=60_000)
    page.goto(f"{address}/jobs?words=golf+hilux&until=2023-01-01")
    expect(page.get_by_text("No further job fits")).to_be_visible(timeout=60_000)
    context.close()
