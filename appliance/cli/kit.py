"""Commands on the kit as a whole: is it well, who has it, which profiles it knows."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated

import typer
from rich.console import RenderableType
from rich.live import Live
from rich.text import Text

from appliance.api import messages as m
from appliance.cli import ask, output
from appliance.cli.options import Json, NewPassphraseFile, PassphraseFile
from appliance.cli.output import console, facts, read_file, say, say_json, table
from appliance.client import Client
from hw.errors import UnavailableError

profile_app = typer.Typer(help="Profiles: what is known of an ECU, signed by the workshop.")
network_app = typer.Typer(help="Wi-Fi, where the kit has NetworkManager.")
technician_app = typer.Typer(help="Technicians: who can unlock this kit.")
WATCH_PERIOD_S = 0.2


def status(
    watch: Annotated[bool, typer.Option("--watch", help="Go on until Ctrl-C.")] = False,
    as_json: Json = False,
) -> None:
    """Gate, voltage, technician and runs, now."""
    with Client() as client:
        if watch:
            _watch(client, as_json=as_json)
            return
        view = client.status()
    if as_json:
        say_json(view)
    else:
        facts(_status_rows(view))


def _watch(client: Client, *, as_json: bool) -> None:
    if as_json or not console.is_terminal:
        _watch_lines(client, as_json=as_json)
    with Live(console=console, auto_refresh=False) as live:
        while True:
            live.update(_status_panel(client.status()), refresh=True)
            time.sleep(WATCH_PERIOD_S)


def _watch_lines(client: Client, *, as_json: bool) -> None:
    """A line whenever something else is to be said, so that a log is not flooded."""
    said = ""
    while True:
        view = client.status()
        if as_json:
            say_json(view)
        elif (line := _status_line(view)) != said:
            said = line
            say(line)
        time.sleep(WATCH_PERIOD_S)


def _status_panel(view: m.KitStatus) -> RenderableType:
    return Text("\n".join(f"{name:<12} {value}" for name, value in _status_rows(view)))


def _status_line(view: m.KitStatus) -> str:
    # Tenths of a volt: the last digit of a living sensor changes all the time.
    if view.hw is None:
        return "; ".join(value for _, value in _status_rows(view))
    volts = f"{view.hw.volts:.1f} V" if view.hw.volts is not None else "no voltage"
    locked = "locked" if view.locked else f"unlocked by {view.technician}"
    return f"{locked}; gate {view.hw.gate}; {volts}; run {view.hw.run or 'none'}"


def _status_rows(view: m.KitStatus) -> list[tuple[str, str]]:
    rows = [("kit", "locked" if view.locked else f"unlocked by {view.technician} ({view.role})")]
    if lag := view.record_problem:
        rows.append(("record", f"not up to date: {lag.what} {lag.next_step}"))
    if view.hw is None:
        problem = view.hw_problem
        rows.append(("hw", f"{problem.what} {problem.next_step}" if problem else "not there"))
        return rows
    state = view.hw
    volts = f"{state.volts:.2f} V" if state.volts is not None else f"none: {state.voltage_reason}"
    gate = f"{state.gate}. {state.gate_reason} {state.gate_next_step}".strip()
    rows += [
        ("gate", gate),
        ("voltage", f"{volts}, {state.sample_rate:.0f} samples/s"),
        ("write line", f"{'on' if state.write_enable else 'off'} ({state.wiring})"),
    ]
    rows += [
        (
            "run",
            f"{run.state}: {run.ecu}, job {run.job}, {run.done_bytes} of {run.total_bytes} bytes",
        )
        for run in view.runs
    ]
    if view.simulated:
        rows.append(("SIMULATED", ", ".join(view.simulated)))
    return rows


def doctor(as_json: Json = False) -> None:
    """Look at everything that a write needs: sensor, media, sockets, tools, clock."""
    with Client() as client:
        reply = client.doctor()
    if as_json:
        say_json(reply)
    else:
        marks = {True: "ok", False: "MISSING", None: "?"}
        table(
            ("", "what", "found", "next step"),
            ((marks[c.ok], c.name, c.what, c.next_step) for c in reply.checks),
        )
    if not reply.ready:
        missing = ", ".join(check.name for check in reply.checks if check.ok is False)
        raise UnavailableError(
            f"The kit is not ready for a write: {missing}.", "Do what stands beside each of these."
        )


def diagnostics(
    path: Annotated[
        Path | None,
        typer.Argument(metavar="[PATH]", help="New file, or folder for it; by default here."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Write logs and state into one archive for the workshop, without secrets and customers."""
    with Client() as client:
        file = client.diagnostics()
    target = path or Path()
    target = target / file.name if target.is_dir() else target
    output.write_new(target, file.content)
    if as_json:
        say_json({"file": str(target), "size_bytes": len(file.content)})
    else:
        say(f"The diagnostics are in {target}.")


def unlock(
    technician: Annotated[str, typer.Argument(metavar="TECHNICIAN")],
    passphrase_file: PassphraseFile = None,
    as_json: Json = False,
) -> None:
    """Open the kit with your passphrase."""
    secret = ask.passphrase(passphrase_file)
    with Client() as client:
        _okay(client.unlock(technician, secret), as_json=as_json)


def lock(as_json: Json = False) -> None:
    """Close the kit; a write that runs goes on by itself."""
    with Client() as client:
        _okay(client.lock(), as_json=as_json)


@network_app.command("list")
def network_list(as_json: Json = False) -> None:
    """List Wi-Fi networks around, and those that the kit knows."""
    with Client() as client:
        found = client.network(scan=True)
    if as_json:
        say_json(found)
    elif not found.available:
        say(found.what)
    else:
        table(
            ("network", "signal", "", "known"),
            (
                (
                    one.ssid,
                    "-" if one.signal is None else f"{one.signal} %",
                    "joined" if one.joined else "secured" if one.secured else "open",
                    "yes" if one.known else "no",
                )
                for one in found.networks
            ),
        )


@network_app.command("join")
def network_join(
    ssid: Annotated[str, typer.Argument(metavar="NETWORK")],
    passphrase_file: PassphraseFile = None,
    as_json: Json = False,
) -> None:
    """Join a Wi-Fi network; not while a write runs."""
    with Client() as client:
        found = next((one for one in client.network().networks if one.ssid == ssid), None)
        asks = found is not None and found.secured and not found.known
        secret = ask.passphrase(passphrase_file, f"Passphrase of {ssid}: ") if asks else ""
        _okay(client.network_join(ssid, secret), as_json=as_json)


@network_app.command("forget")
def network_forget(
    ssid: Annotated[str, typer.Argument(metavar="NETWORK")], as_json: Json = False
) -> None:
    """Leave a Wi-Fi network for good; not while a write runs."""
    with Client() as client:
        _okay(client.network_forget(ssid), as_json=as_json)


@technician_app.command("list")
def technician_list(as_json: Json = False) -> None:
    """List who can unlock this kit; works while it is locked."""
    with Client() as client:
        found = client.technicians()
    if as_json:
        say_json(found)
        return
    table(
        ("technician", "role", "must wait"),
        (
            (one.name, one.role, f"{one.wait_s} s" if one.wait_s else "-")
            for one in found.technicians
        ),
    )


@technician_app.command("add")
def technician_add(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Short, without spaces.")],
    role: Annotated[
        str, typer.Option("--role", metavar="ROLE", help="technician or owner.")
    ] = "technician",
    new_passphrase_file: NewPassphraseFile = None,
    passphrase_file: PassphraseFile = None,
    as_json: Json = False,
) -> None:
    """Add a technician; needs an unlocked kit and its owner's passphrase once more."""
    chosen = ask.new_passphrase(new_passphrase_file, name)
    secret = ask.passphrase(passphrase_file, "Your own passphrase: ")
    with Client() as client:
        _okay(client.technician_add(name, role, chosen, secret), as_json=as_json)


@technician_app.command("passphrase")
def technician_passphrase(
    new_passphrase_file: NewPassphraseFile = None,
    passphrase_file: PassphraseFile = None,
    as_json: Json = False,
) -> None:
    """Change your own passphrase; needs the kit unlocked by you."""
    secret = ask.passphrase(passphrase_file, "Your passphrase until now: ")
    chosen = ask.new_passphrase(new_passphrase_file, "yours")
    with Client() as client:
        _okay(client.passphrase_change(secret, chosen), as_json=as_json)


def _okay(reply: m.Okay, *, as_json: bool) -> None:
    if as_json:
        say_json(reply)
    else:
        say(reply.what)


@profile_app.command("list")
def profile_list(as_json: Json = False) -> None:
    """List the profiles on this kit."""
    with Client() as client:
        found = client.profiles()
    if as_json:
        say_json(found)
        return
    table(
        ("profile", "ECU", "title", "writes"),
        (
            (view.name, view.ecu, view.problem or view.title, ", ".join(view.writes) or "-")
            for view in found.profiles
        ),
    )


@profile_app.command("sign")
def profile_sign(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The profile, NAME.toml.")],
    install: Annotated[
        bool, typer.Option("--install", help="Also put it among this kit's profiles.")
    ] = False,
    passphrase_file: PassphraseFile = None,
    as_json: Json = False,
) -> None:
    """Sign a profile with the workshop's key, on a kit that holds it; FILE.sig comes beside it."""
    content = read_file(file, "profile")
    secret = ask.passphrase(passphrase_file)
    with Client() as client:
        reply = client.profile_sign(file.name, content, secret, install=install)
    signature = file.with_name(f"{file.name}.sig")
    signature.unlink(missing_ok=True)
    output.write_new(signature, reply.signature, 0o644)
    if as_json:
        say_json({"profile": reply.name, "signature": str(signature), "installed": reply.installed})
        return
    say(f"Signed: {signature}." + (" It is installed on this kit." if reply.installed else ""))
