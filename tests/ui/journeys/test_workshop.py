"""A kit is let in at a workshop with a scanned code, and hands a job over when it is asked to."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.test_workshop import free_port, made_workshop, serving, taken, workshop_json
from tests.ui.journeys.kit import Kit
from tests.ui.journeys.screen import Screen

pytestmark = pytest.mark.timeout(300)


def test_a_scanned_code_enrols_the_kit_and_a_job_goes_at_a_touch(
    kit: Kit, screen: Screen, tmp_path: Path
) -> None:
    folder, port = tmp_path / "workshop", free_port()
    made_workshop(folder)
    with serving(folder, port):
        code = workshop_json(folder, "enrol", "Van 1", "--port", str(port))["code"]
        screen.start()
        screen.on("HomePage")
        screen.press("Menu")
        screen.press("Settings")
        screen.press("Workshop")
        screen.sees("This kit belongs to no workshop", "Scan the code that the office shows")
        screen.scans(code[:-1])
        screen.sees("A letter of this code for enrolment is wrong, or missing.")
        screen.scans(code)
        screen.sees("Everything is handed over", "Van 1", f"https://127.0.0.1:{port}")
        with kit.client() as client:
            job = client.job_new("Zoë Müller", "Golf IV").job
        assert job not in taken(folder)
        screen.press("Hand over now")
        screen.until(lambda _view: job in taken(folder), "the job at the workshop")
