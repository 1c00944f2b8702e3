"""The office's list of backups."""

from __future__ import annotations

import re
from html import unescape

from appliance.workshop.office.backups import PAGE
from tests.appliance.workshop.office.conftest import Desk

COCKROACH = 1_003_456_789_012_345_678
"""As large as the numbers that a CockroachDB gives, which follow each other with gaps."""


def test_the_list_goes_on_page_by_page_whatever_numbers_the_database_gave(desk: Desk) -> None:
    rows = [
        {
            "number": COCKROACH + 32_769 * count,
            "backup": f"backup-{count:03}",
            "job": desk.job,
            "kit": "no kit",
            "ecu": "engine",
            "received": count,
            "files": b"[]",
        }
        for count in range(PAGE + 5)
    ]
    database = desk.workshop.hub.database
    database.write(lambda tables: tables.backups.insert_many(rows).execute())
    with desk.somebody("technician") as client:
        first = client.get("/backups").text
        link = re.search(r'href="([^"]*before=[^"]*)"', first)
        assert link is not None
        second = client.get(unescape(link[1])).text
    shown = [re.findall(r"backup-\d{3}(?=</a>)", page) for page in (first, second)]
    newest_first = [str(row["backup"]) for row in reversed(rows)]
    assert shown == [newest_first[:PAGE], newest_first[PAGE:]]
    backups = database.tables.backups
    delete = backups.delete().where(backups.number >= COCKROACH)
    database.write(lambda _: delete.execute())
