"""Commands on jobs: the record, and the writes."""

from __future__ import annotations

import itertools
import sys
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import msgspec
import typer

from appliance.api import messages as m
from appliance.cli import ask, output
from appliance.cli.follow import Followed, follow, tell_outcome
from appliance.cli.options import (
    Accept,
    JobArgument,
    Json,
    Language,
    PassphraseFile,
    PlanArgument,
)
from appliance.cli.output import counted, facts, read_file, say, say_json, table, write_folder
from appliance.client import Client
from hw.errors import UNDECODABLE, BadInputError, RefusedError, UsageError
from hw.messages import GateResult
from hw.statements import Stroke

job_app = typer.Typer(help="Jobs: one customer's car, its writes and its record.")


@job_app.command("new")
def job_new(
    customer: Annotated[str, typer.Option("--customer", metavar="NAME")],
    vehicle: Annotated[str, typer.Option("--vehicle", metavar="TEXT", help="Car, plate or VIN.")],
    complaint: Annotated[str, typer.Option("--complaint", metavar="TEXT")] = "",
    as_json: Json = False,
) -> None:
    """Open a job."""
    with Client() as client:
        view = client.job_new(customer, vehicle, complaint)
    print_job(view, as_json=as_json)


@job_app.command("list")
def job_list(
    words: Annotated[
        list[str] | None,
        typer.Argument(metavar="[WORDS]", help="Only jobs with all of them."),
    ] = None,
    limit: Annotated[
        int, typer.Option("--limit", metavar="N", min=1, help="Only so many, of all by default.")
    ] = sys.maxsize,
    as_json: Json = False,
) -> None:
    """List all jobs, or those with some words, the newest first."""
    with Client() as client:
        found = list(itertools.islice(client.jobs(" ".join(words or [])), limit))
    if as_json:
        say_json(m.Jobs(jobs=found))
        return
    table(
        ("job", "made", "customer", "vehicle", "state"),
        ((job.job, job.made, job.customer, job.vehicle, job.state) for job in found),
    )


@job_app.command("show")
def job_show(
    job: JobArgument,
    follow_it: Annotated[
        bool, typer.Option("--follow", help="Follow the write that is under way.")
    ] = False,
    events: Annotated[bool, typer.Option("--events", help="Print every event.")] = False,
    as_json: Json = False,
) -> int:
    """Print a job; with --follow, its write to the end."""
    with Client() as client:
        view = client.job_show(job)
        if follow_it:
            return _follow_again(client, view, as_json=as_json)
        if not events:
            print_job(view, as_json=as_json)
            return 0
        for event in client.events(view.job):
            if as_json:
                say_json(event)
            else:
                body = msgspec.json.encode(event.body).decode()
                say(f"{event.seq:>5}  {event.wall}  {event.kind}  {body[:200]}")
    return 0


def _follow_again(client: Client, view: m.JobView, *, as_json: bool) -> int:
    if not view.run:
        raise UsageError("No write of this job is under way.", f"Its state is: {view.state}.")
    started = m.Started(run=view.run, job=view.job, plan_digest="", after=0, gates=[])
    return tell_outcome(follow(client, started, view.vehicle, as_json=as_json), as_json=as_json)


def print_job(view: m.JobView, *, as_json: bool) -> None:
    """A job, on the console."""
    if as_json:
        say_json(view)
        return
    facts(
        [
            ("job", view.job),
            ("customer", view.customer),
            ("vehicle", view.vehicle),
            ("complaint", view.complaint),
            ("made", view.made),
            ("state", f"{view.state}. {view.what} {view.next_step}".strip()),
            *(("plan", plan) for plan in view.plans),
            *(("backup", backup) for backup in view.backups),
            ("record", f"{counted(view.events, 'event')}, head {view.head}"),
        ]
    )


# Writes -------------------------------------------------------------------------------------------


@job_app.command("run")
def job_run(
    plan: PlanArgument,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Ask the gates, make no permit, write nothing.")
    ] = False,
    accept: Accept = "",
    passphrase_file: PassphraseFile = None,
    as_json: Json = False,
) -> int:
    """Show the risk, ask, check the gates, write, prove."""
    document = read_file(plan, "plan")
    with Client() as client:
        view = client.plan_show(document)
        if dry_run:
            return _dry(client, view, as_json=as_json)
        return _write(client, view, accept, passphrase_file, as_json=as_json)


def _dry(client: Client, view: m.PlanView, *, as_json: bool) -> int:
    reply = client.check(view.job, view.file)
    if as_json:
        say_json(reply)
    else:
        output.gates(reply.results)
        say("Dry run: nothing was written and no permit was made.")
    # A dry run has no acknowledgment, so that gate alone cannot fail it.
    _refuse([gate for gate in reply.results if gate.gate != "USER_ACKNOWLEDGMENT"])
    return 0


def _write(
    client: Client, view: m.PlanView, accept: str, passphrase_file: Path | None, *, as_json: bool
) -> int:
    if not as_json:
        say(view.title, style="bold")
    ask.acceptance(view.risk_text, view.risk_digest, accept)
    secret = ask.passphrase(passphrase_file)
    started = client.run(view.job, view.file, view.risk_digest, secret)
    if as_json:
        say_json({"started": started.run, "gates": msgspec.to_builtins(started.gates)})
    else:
        output.gates(started.gates)
    _refuse(started.gates)
    end = follow(client, started, view.title, as_json=as_json)
    return tell_outcome(_how_to_go_on(end, view.job), as_json=as_json)


def _refuse(gates: list[GateResult]) -> None:
    for gate in gates:
        if not gate.passed:
            raise RefusedError(gate.gate, gate.reason, gate.next_step)


def _how_to_go_on(end: Followed, job: str) -> Followed:
    """The kit's sentences serve the screen, too; here they get the command that does it."""
    if end.outcome == "aborted_recoverable":
        command = f"The command is 'fieldkit job recover {job}'."
        return replace(end, next_step=f"{end.next_step} {command}".strip())
    if end.outcome != "cut":
        return end
    return replace(
        end,
        what=f"The write was cut: {end.what}",
        next_step=f"{end.next_step} Then run 'fieldkit job resume {job}', or give it up with "
        f"'fieldkit job recover {job}'.",
    )


@job_app.command("resume")
def job_resume(
    job: JobArgument,
    accept: Accept = "",
    passphrase_file: PassphraseFile = None,
    as_json: Json = False,
) -> int:
    """Acknowledge the risk again and resume a write that was cut."""
    with Client() as client:
        view = client.running_plan(job)
        ask.acceptance(view.risk_text, view.risk_digest, accept)
        secret = ask.passphrase(passphrase_file)
        started = client.resume(view.job, view.risk_digest, secret)
        end = follow(client, started, view.title, as_json=as_json)
    return tell_outcome(_how_to_go_on(end, view.job), as_json=as_json)


@job_app.command("recover")
def job_recover(
    job: JobArgument,
    link: Annotated[
        str,
        typer.Option("--link", metavar="URI", help="Where the ECU is now, if not where it was."),
    ] = "",
    accept: Accept = "",
    passphrase_file: PassphraseFile = None,
    as_json: Json = False,
) -> int:
    """Finish a write that stopped: back into the boot loader, erase, write, check."""
    with Client() as client:
        view = client.recovery(job, link).plan
        return _write(client, view, accept, passphrase_file, as_json=as_json)


@job_app.command("abort")
def job_abort(job: JobArgument, as_json: Json = False) -> None:
    """End the write that is under way at its next safe point; it can then be recovered."""
    with Client() as client:
        reply = client.abort(job)
    _say_okay(reply, as_json=as_json)


def _say_okay(reply: m.Okay, *, as_json: bool) -> None:
    if as_json:
        say_json(reply)
    else:
        say(reply.what)


# Agreements ---------------------------------------------------------------------------------------


@job_app.command("agreements")
def job_agreements(
    job: JobArgument,
    plan: Annotated[
        Path | None, typer.Option("--plan", metavar="PLAN", help="Only those that it needs.")
    ] = None,
    language: Language = "en",
    as_json: Json = False,
) -> None:
    """Print the texts that the customer is asked to sign, and who signed them."""
    with Client() as client:
        digest = client.plan_show(read_file(plan, "plan")).digest if plan else ""
        reply = client.agreements(job, digest, language)
    if as_json:
        say_json(reply)
        return
    for one in reply.agreements:
        say(f"{one.text}, version {one.version}, {one.language}", style="bold")
        say(one.content)
        say(f"Signed by {one.customer} at {one.wall}.\n" if one.customer else "Not signed.\n")


@job_app.command("agree")
def job_agree(
    job: JobArgument,
    text: Annotated[str, typer.Argument(metavar="TEXT", help="terms, immobiliser, …")],
    name: Annotated[str, typer.Option("--name", metavar="NAME", help="The customer's.")],
    strokes: Annotated[
        Path,
        typer.Option(
            "--strokes",
            metavar="FILE",
            help="What they drew, as JSON: a list of strokes, each a list of [x, y, ms]; x and y "
            "from 0 to 1000, y downwards.",
        ),
    ],
    language: Language = "en",
    as_json: Json = False,
) -> None:
    """Put the customer's signature under a text on the record; you are the witness."""
    with Client() as client:
        known = {one.text: one for one in client.agreements(job, "", language).agreements}
        if text not in known:
            raise UsageError(f"There is no text '{text}'.", f"Name one of: {', '.join(known)}.")
        read = known[text]
        if not as_json:
            say(read.content)
        reply = client.agree(
            job,
            m.Agree(
                text=read.text, sha256=read.sha256, customer=name, strokes=_strokes_in(strokes)
            ),
        )
    _say_okay(reply, as_json=as_json)


def _strokes_in(path: Path) -> list[Stroke]:
    try:
        return msgspec.json.decode(read_file(path, "signature"), type=list[Stroke])
    except UNDECODABLE as error:
        raise BadInputError(
            f"The signature {path} cannot be read: {error}.",
            "Give a list of strokes, each a list of [x, y, milliseconds].",
        ) from error


# The record ---------------------------------------------------------------------------------------


@job_app.command("verify")
def job_verify(job: JobArgument, as_json: Json = False) -> None:
    """Compute every hash and signature of a job's chain again."""
    with Client() as client:
        reply = client.job_verify(job)
    if as_json:
        say_json(reply)
        return
    say(f"The chain of {counted(reply.events, 'event')} is whole; its head is {reply.head}.")


@job_app.command("export")
def job_export(
    job: JobArgument,
    folder: Annotated[
        Path | None, typer.Option("--to", metavar="FOLDER", help="New folder for the files.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Write a job's record: JSON, files and a PDF report."""
    with Client() as client:
        reply = client.job_export(job)
    target = folder or Path(f"job-{job}")
    write_folder(target, reply.files)
    names = [item.name for item in reply.files]
    if as_json:
        say_json({"folder": str(target), "files": names})
        return
    say(reply.what)
    for name in names:
        say(f"  {target / name}")
