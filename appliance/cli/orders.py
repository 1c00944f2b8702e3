"""Commands on the work orders that the office gave to this kit."""

from __future__ import annotations

from typing import Annotated

import typer

from appliance.api import messages as m
from appliance.cli.jobs import print_job
from appliance.cli.options import Json
from appliance.cli.output import facts, say_json, table
from appliance.client import Client

order_app = typer.Typer(help="Work orders of the workshop, and the jobs that are opened for them.")
Reference = Annotated[
    str, typer.Argument(metavar="REF", help="As on the packing slip, such as W-7K3F2.")
]


@order_app.command("list")
def order_list(as_json: Json = False) -> None:
    """List what is to be worked on, those with an appointment first."""
    with Client() as client:
        found = client.orders()
    if as_json:
        say_json(found)
        return
    table(
        ("order", "when", "customer", "vehicle", "state", "job"),
        (
            (
                one.reference,
                one.appointment,
                one.customer,
                one.vehicle or one.vin,
                one.state.replace("_", " "),
                one.job,
            )
            for one in found.orders
        ),
    )


@order_app.command("show")
def order_show(reference: Reference, as_json: Json = False) -> None:
    """Print one order."""
    with Client() as client:
        one = client.order(reference)
    if as_json:
        say_json(one)
        return
    facts(_rows(one))


@order_app.command("open")
def order_open(reference: Reference, as_json: Json = False) -> None:
    """Open the job for an order; where there is one already, print that."""
    with Client() as client:
        view = client.order_open(reference)
    print_job(view, as_json=as_json)


def _rows(one: m.OrderView) -> list[tuple[str, str]]:
    rows = [
        ("order", one.reference),
        ("state", one.state.replace("_", " ")),
        ("when", one.appointment),
        ("customer", one.customer),
        ("phone", one.phone),
        ("address", one.address),
        ("vehicle", one.vehicle),
        ("VIN", one.vin),
        ("complaint", one.complaint),
        ("photos", f"{one.photos} at the workshop" if one.photos else ""),
        ("job", one.job),
    ]
    return [(name, text) for name, text in rows if text]
