"""The packing slip's code, scanned at the bench, opens the job that the office booked."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from appliance.client import Client
from appliance.sync.order import Booking
from appliance.workshop.program import open_hub
from tests.appliance.records.sample import VIN
from tests.test_workshop import free_port, made_workshop, serving, workshop_json
from tests.ui.journeys.kit import Kit
from tests.ui.journeys.screen import LIMIT_S, Screen

pytestmark = pytest.mark.timeout(300)


def test_a_scanned_slip_opens_the_job_with_what_the_office_knows(
    kit: Kit, screen: Screen, tmp_path: Path
) -> None:
    folder, port = tmp_path / "workshop", free_port()
    made_workshop(folder)
    with serving(folder, port), Client(kit.run / "appliance.sock") as client:
        client.sync_enrol(workshop_json(folder, "enrol", "Van 1", "--port", str(port))["code"])
        orders = open_hub(folder, "", "")[0].orders
        booking = Booking(way="mail_in", customer="Thandi", phone="123456", vin=VIN)
        kept = orders.book(booking, "once")
        until = time.monotonic() + LIMIT_S
        while not client.orders().orders:
            assert time.monotonic() < until
            client.sync_now()
        screen.start()
        screen.on("HomePage")
        screen.press("Menu")
        screen.press("Work orders")
        screen.sees("Scan the packing slip", kept.order.reference, "Thandi")
        screen.scans("W-00000")
        screen.sees("This kit has no work order W-00000.")
        screen.scans(kept.order.reference)
        screen.on("VehiclePage")
        (order,) = client.orders().orders
        job = client.job_show(order.job)
        assert (job.customer, job.vin) == ("Thandi", VIN)
