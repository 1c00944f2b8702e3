"""Commands that read an ECU, compile plans and make backups."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from appliance.api import messages as m
from appliance.cli import ask, output
from appliance.cli.options import Job, Json, Link, OptionalJob, Out, PassphraseFile, Profile
from appliance.cli.output import facts, read_file, say, say_json, shown_id, table, write_folder
from appliance.client import Client
from hw.errors import RefusedError, UnavailableError, UsageError

plan_app = typer.Typer(help="Compile a plan and print it. Nothing but reads is sent.")
backup_app = typer.Typer(help="Backups of coding and memory, on two media.")


def identify(
    link: Link, profile: Profile = "", job: OptionalJob = "", as_json: Json = False
) -> None:
    """Read who the ECU is; without --profile, find the ECUs that announce themselves (DoIP)."""
    with Client() as client:
        if not profile:
            _discover(client, link, as_json=as_json)
            return
        identity = client.identify(link, profile, job)
    if as_json:
        say_json(identity)
        return
    say(f"{identity.title} ({identity.ecu}) on {identity.link}", style="bold")
    table(
        ("DID", "name", "value", "fields"),
        (
            (shown_id(value.did), value.label, value.text, _fields(value.fields))
            for value in identity.values
            if not value.refused
        ),
    )
    if refused := [shown_id(value.did) for value in identity.values if value.refused]:
        say(f"The ECU refused {len(refused)} of the profile's DIDs: {', '.join(refused)}.")


def _fields(values: dict[str, str]) -> str:
    return ", ".join(f"{name}={value}" for name, value in values.items())


def _discover(client: Client, link: str, *, as_json: bool) -> None:
    if not link.startswith("doip"):
        raise UsageError(
            "Only DoIP entities announce themselves.",
            "Name the ECU's profile with --profile, or a link that begins with doip://.",
        )
    found = client.discover(link)
    if not found.ecus:
        raise UnavailableError(
            f"No ECU announced itself on {link}.", "Check the cable, the ignition and the address."
        )
    if as_json:
        say_json(found)
        return
    table(
        ("link", "logical address", "VIN", "EID"),
        ((ecu.link, shown_id(ecu.logical_address), ecu.vin, ecu.eid) for ecu in found.ecus),
    )


def read(
    link: Link,
    profile: Profile,
    did: Annotated[str, typer.Option("--did", metavar="DID", help="One DID, as in 0xF190.")] = "",
    region: Annotated[
        str, typer.Option("--region", metavar="NAME", help="One memory region of the profile.")
    ] = "",
    out: Annotated[
        Path | None, typer.Option("--out", metavar="FILE", help="Where the region's bytes go.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Read one DID or one memory region."""
    if bool(did) == bool(region):
        raise UsageError("Exactly one of --did and --region is needed.", "Name one of them.")
    if region and out is None and not as_json:
        raise UsageError("A region is many bytes.", "Name a file for them with --out.")
    with Client() as client:
        reply = client.read(link, profile, output.number(did) if did else None, region)
    if out is not None:
        output.write_new(out, bytes.fromhex(reply.hex))
    if as_json:
        say_json(reply)
    elif out is not None:
        say(f"{reply.name}: {len(reply.hex) // 2} bytes, SHA-256 {reply.sha256}, in {out}")
    else:
        facts([(reply.name, reply.text), ("hex", reply.hex)])


# Plans --------------------------------------------------------------------------------------------


@plan_app.command("flash")
def plan_flash(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Intel HEX, S-record, VBF or BIN.")],
    link: Link,
    profile: Profile,
    job: Job,
    manifest: Annotated[
        Path | None,
        typer.Option("--manifest", metavar="FILE", help="Address, size, SHA-256 of a raw BIN."),
    ] = None,
    out: Out = None,
    as_json: Json = False,
) -> None:
    """Compile the flash of a container."""
    request = m.PlanFlash(
        link=link,
        profile=profile,
        job=job,
        name=file.name,
        content=read_file(file, "file"),
        manifest=read_file(manifest, "manifest") if manifest is not None else None,
    )
    with Client() as client:
        _keep(client.plan_flash(request), out, as_json=as_json)


@plan_app.command("code")
def plan_code(
    settings: Annotated[
        list[str], typer.Argument(metavar="DID.FIELD=VALUE", help="One or more settings.")
    ],
    link: Link,
    profile: Profile,
    job: Job,
    out: Out = None,
    as_json: Json = False,
) -> None:
    """Compile a change of coding."""
    request = m.PlanCode(link=link, profile=profile, job=job, settings=settings)
    with Client() as client:
        _keep(client.plan_code(request), out, as_json=as_json)


@plan_app.command("show")
def plan_show(
    plan: Annotated[Path, typer.Argument(metavar="PLAN", help="The plan's file.")],
    as_json: Json = False,
) -> None:
    """Print what a plan's file will do, and its risk text."""
    with Client() as client:
        view = client.plan_show(read_file(plan, "plan"))
    _print_plan(view, plan, as_json=as_json)


def _keep(view: m.PlanView, out: Path | None, *, as_json: bool) -> None:
    path = out or Path(f"{view.ecu}-{view.digest[:12]}.plan.json")
    output.write_new(path, view.file)
    _print_plan(view, path, as_json=as_json)


def _print_plan(view: m.PlanView, path: Path, *, as_json: bool) -> None:
    if as_json:
        # The file itself is on the disk; its path is what the next command takes.
        say_json(output.plain(view, without=("file",)) | {"plan": str(path)})
        return
    for line in view.description.lines:
        say(line)
    facts(
        [
            ("plan", str(path)),
            ("digest", view.digest),
            ("payload", f"{view.payload_bytes} bytes"),
            ("risk", view.risk_text),
            ("risk digest", view.risk_digest),
        ]
    )
    say(f"Nothing was sent but reads. To run it: fieldkit job run {path}")


# Backups ------------------------------------------------------------------------------------------


@backup_app.command("make")
def backup_make(
    link: Link,
    profile: Profile,
    job: Job,
    known_good: Annotated[
        Path | None,
        typer.Option(
            "--known-good",
            metavar="FILE",
            help="File for this software number, where the ECU refuses memory readout.",
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Back up coding and memory of an ECU on both media."""
    request = m.BackupMake(
        link=link,
        profile=profile,
        job=job,
        known_good=read_file(known_good, "known-good file") if known_good is not None else None,
        known_good_name=known_good.name if known_good is not None else "",
    )
    with Client() as client:
        view = client.backup_make(request)
    if as_json:
        say_json(view)
        return
    say(f"Backup {view.backup} of the {view.ecu}, read twice and compared.", style="bold")
    _print_backup(view)


def _print_backup(view: m.BackupView) -> None:
    rows = [("copy", folder) for folder in view.folders]
    rows += [("holds", item) for item in view.objects]
    rows += [("refused by the ECU", item) for item in view.refused]
    if view.simulated:
        rows.append(("media", "SIMULATED: both copies may lie on one disk"))
    facts(rows)


@backup_app.command("list")
def backup_list(as_json: Json = False) -> None:
    """List all backups on the two media."""
    with Client() as client:
        found = client.backup_list()
    if as_json:
        say_json(found)
        return
    table(
        ("backup", "ECU", "job", "made", "holds"),
        (
            (view.backup, view.ecu, view.job, view.made, "; ".join(view.objects + view.refused))
            for view in found.backups
        ),
    )


@backup_app.command("verify")
def backup_verify(
    backup: Annotated[str, typer.Argument(metavar="BACKUP")], as_json: Json = False
) -> None:
    """Read both copies again; repair one from the other."""
    with Client() as client:
        reply = client.backup_verify(backup)
    if as_json:
        say_json(reply)
    else:
        table(
            ("copy", "state", "found"),
            ((copy.folder, copy.state, "; ".join(copy.found)) for copy in reply.copies),
        )
    if not reply.whole:
        raise RefusedError(
            "DUAL_BACKUP",
            "The backup is not whole on both media.",
            "Check the media, then make the backup again.",
        )


@backup_app.command("open")
def backup_open(
    backup: Annotated[str, typer.Argument(metavar="BACKUP")],
    folder: Annotated[
        Path, typer.Option("--to", metavar="FOLDER", help="New folder for the decrypted files.")
    ],
    passphrase_file: PassphraseFile = None,
    as_json: Json = False,
) -> None:
    """Decrypt a backup into a folder of your choice."""
    secret = ask.passphrase(passphrase_file)
    with Client() as client:
        reply = client.backup_open(backup, secret)
    write_folder(folder, reply.files)
    _tell_folder(reply, folder, as_json=as_json)


def _tell_folder(reply: m.Files, folder: Path, *, as_json: bool) -> None:
    names = [item.name for item in reply.files]
    if as_json:
        say_json({"folder": str(folder), "files": names})
        return
    say(reply.what)
    for name in names:
        say(f"  {folder / name}")


@backup_app.command("restore")
def backup_restore(
    backup: Annotated[str, typer.Argument(metavar="BACKUP")],
    link: Link,
    profile: Profile,
    job: Job,
    out: Out = None,
    as_json: Json = False,
) -> None:
    """Compile the plan that writes a backup back; run it with 'job run', with all gates."""
    request = m.PlanRestore(link=link, profile=profile, job=job, backup=backup)
    with Client() as client:
        _keep(client.plan_restore(request), out, as_json=as_json)
