"""The command tree of `fieldkit`. Others script against these words; keep them."""

from __future__ import annotations

import typer

from appliance.cli import (
    car,
    jobs,
    kit,
    orders,
    people,
    publish,
    setup,
    sync,
    technicians,
    workshop,
    workshop_keeping,
)

app = typer.Typer(
    name="fieldkit",
    help="Identifies, backs up, codes and programs ECUs, and would rather refuse than brick one.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.command("init")(setup.init)
app.command("demo")(setup.demo)
app.command("up")(setup.up)
app.command("sim", context_settings={"allow_extra_args": True, "ignore_unknown_options": True})(
    setup.sim
)
app.command("doctor")(kit.doctor)
app.command("diagnostics")(kit.diagnostics)
app.command("status")(kit.status)
app.command("unlock")(kit.unlock)
app.command("lock")(kit.lock)
app.command("identify")(car.identify)
app.command("read")(car.read)
app.add_typer(car.plan_app, name="plan", no_args_is_help=True)
app.add_typer(car.backup_app, name="backup", no_args_is_help=True)
app.add_typer(jobs.job_app, name="job", no_args_is_help=True)
app.add_typer(orders.order_app, name="order", no_args_is_help=True)
app.add_typer(kit.network_app, name="network", no_args_is_help=True)
app.add_typer(kit.technician_app, name="technician", no_args_is_help=True)
app.add_typer(kit.profile_app, name="profile", no_args_is_help=True)
app.add_typer(sync.sync_app, name="sync", no_args_is_help=True)
workshop.workshop_app.add_typer(people.person_app, name="person", no_args_is_help=True)
workshop.workshop_app.add_typer(
    technicians.workshop_technician_app, name="technician", no_args_is_help=True
)
workshop.workshop_app.add_typer(publish.publish_app, name="publish", no_args_is_help=True)
workshop.workshop_app.command("export")(workshop_keeping.export)
workshop.workshop_app.command("verify")(workshop_keeping.verify)
workshop.workshop_app.command("open")(workshop_keeping.open_kept)
app.add_typer(workshop.workshop_app, name="workshop", no_args_is_help=True)
