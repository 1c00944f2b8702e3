"""The route table: for each path what it takes, what it gives and what answers it.

The server and the OpenAPI document are both made from this one table, so that neither can say what
the other does not do.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from msgspec import Struct

from appliance.api import messages as m
from appliance.service import Service

Handler = Callable[[Service, dict[str, str], Any], Struct]


@dataclass(frozen=True)
class Route:
    """One method of one path.

    `request` is the body's type, None where there is no body. A `stream` answers NDJSON: one
    `reply` to a line, from event number `after` (query) on, for ever with `follow=1`.
    """

    method: str
    path: str
    request: type[Struct] | None
    reply: type[Struct]
    handler: Handler | None
    summary: str
    query: tuple[str, ...] = ()
    """Names of text parameters; the handler finds them beside those of the path, if given."""

    @property
    def stream(self) -> bool:
        """Does it answer a stream of events instead of one object?"""
        return self.handler is None


ROUTES: tuple[Route, ...] = (
    Route("GET", "/status", None, m.KitStatus, lambda s, _p, _b: s.status(), "The kit, now"),
    Route("GET", "/sync", None, m.Sync, lambda s, _p, _b: s.sync(), "The way to the workshop"),
    Route(
        "POST",
        "/sync",
        None,
        m.Sync,
        lambda s, p, _b: s.sync_now(wait=p.get("wait") != "0"),
        "Hand over what is new; with wait=0 the answer does not wait for it",
        query=("wait",),
    ),
    Route(
        "POST",
        "/sync/enrol",
        m.SyncEnrol,
        m.Okay,
        lambda s, _p, b: s.sync_enrol(b),
        "Let this kit in at a workshop",
    ),
    Route("GET", "/doctor", None, m.Doctor, lambda s, _p, _b: s.doctor(), "Is all there?"),
    Route("GET", "/about", None, m.About, lambda s, _p, _b: s.about(), "Versions and storage"),
    Route(
        "POST",
        "/diagnostics",
        None,
        m.File,
        lambda s, _p, _b: s.diagnostics(),
        "Logs and state in one archive, without secrets and customers",
    ),
    Route(
        "POST",
        "/diagnostics/stick",
        m.ExportOnto,
        m.SavedOnto,
        lambda s, _p, b: s.diagnostics_onto(b),
        "Write that archive onto a stick",
    ),
    Route("POST", "/unlock", m.Unlock, m.Okay, lambda s, _p, b: s.unlock(b), "Open the kit"),
    Route(
        "GET",
        "/technicians",
        None,
        m.Technicians,
        lambda s, _p, _b: s.technicians(),
        "Who can unlock the kit, and how long each must wait",
    ),
    Route(
        "POST",
        "/technicians",
        m.TechnicianNew,
        m.Okay,
        lambda s, _p, b: s.technician_add(b),
        "Add a technician; an owner does",
    ),
    Route(
        "POST",
        "/technicians/passphrase",
        m.PassphraseNew,
        m.Okay,
        lambda s, _p, b: s.passphrase_change(b),
        "Change one's own passphrase",
    ),
    Route("POST", "/lock", None, m.Okay, lambda s, _p, _b: s.lock(), "Close the kit"),
    Route(
        "GET",
        "/profiles",
        None,
        m.Profiles,
        lambda s, _p, _b: s.profile_list(),
        "Profiles on this kit",
    ),
    Route(
        "POST",
        "/profiles/sign",
        m.SignProfile,
        m.ProfileSigned,
        lambda s, _p, b: s.profile_sign(b),
        "Sign a profile with the workshop's key",
    ),
    Route(
        "GET",
        "/profiles/{profile}/coding",
        None,
        m.CodingView,
        lambda s, p, _b: s.profile_coding(p["profile"]),
        "Coding that a profile names, with its options",
    ),
    Route(
        "GET",
        "/sticks",
        None,
        m.Sticks,
        lambda s, _p, _b: s.sticks(),
        "USB sticks that are plugged in",
    ),
    Route(
        "GET",
        "/sticks/files",
        None,
        m.StickFolder,
        lambda s, p, _b: s.stick_files(p.get("path", "")),
        "What lies in a folder on a stick",
        query=("path",),
    ),
    Route(
        "POST",
        "/containers/inspect",
        m.InspectContainer,
        m.ContainerView,
        lambda s, _p, b: s.container_inspect(b),
        "What a container on a stick says of itself",
    ),
    Route(
        "GET",
        "/network",
        None,
        m.Network,
        lambda s, p, _b: s.network(scan=p.get("scan", "") == "1"),
        "Wi-Fi networks around; with scan=1 looked for anew",
        query=("scan",),
    ),
    Route(
        "POST",
        "/network/join",
        m.JoinNetwork,
        m.Okay,
        lambda s, _p, b: s.network_join(b),
        "Join a Wi-Fi network; not while a write runs",
    ),
    Route(
        "POST",
        "/network/forget",
        m.ForgetNetwork,
        m.Okay,
        lambda s, _p, b: s.network_forget(b),
        "Forget a Wi-Fi network; not while a write runs",
    ),
    Route("GET", "/media", None, m.Media, lambda s, _p, _b: s.media(), "What is on both media"),
    Route(
        "GET",
        "/sensor",
        None,
        m.Sensor,
        lambda s, _p, _b: s.sensor(),
        "Which voltage sensor the kit has, and how exact it can be",
    ),
    Route(
        "GET",
        "/links",
        None,
        m.Links,
        lambda s, _p, _b: s.links(),
        "Links that the kit's configuration names",
    ),
    Route(
        "POST",
        "/discover",
        m.DiscoverOn,
        m.Discovered,
        lambda s, _p, b: s.discover(b.link),
        "ECUs that announce themselves",
    ),
    Route(
        "POST",
        "/identify",
        m.OnLink,
        m.Identity,
        lambda s, _p, b: s.identify(b),
        "Read an ECU's identification and coding",
    ),
    Route(
        "POST",
        "/read",
        m.ReadValue,
        m.ReadReply,
        lambda s, _p, b: s.read(b),
        "Read a DID or region",
    ),
    Route(
        "POST",
        "/plans/flash",
        m.PlanFlash,
        m.PlanView,
        lambda s, _p, b: s.plan_flash(b),
        "Compile a flash; nothing is sent but reads",
    ),
    Route(
        "POST",
        "/plans/code",
        m.PlanCode,
        m.PlanView,
        lambda s, _p, b: s.plan_code(b),
        "Compile a change of coding; nothing is sent but reads",
    ),
    Route(
        "POST",
        "/plans/restore",
        m.PlanRestore,
        m.PlanView,
        lambda s, _p, b: s.plan_restore(b),
        "Compile a restore from a backup; nothing is sent but reads",
    ),
    Route(
        "POST",
        "/plans/show",
        m.CheckPlan,
        m.PlanView,
        lambda s, _p, b: s.plan_show(b.plan),
        "What a plan's file will do",
    ),
    Route(
        "GET",
        "/plans/{digest}",
        None,
        m.PlanView,
        lambda s, p, _b: s.plan_kept(p["digest"]),
        "A plan that this kit made",
    ),
    Route("GET", "/backups", None, m.Backups, lambda s, _p, _b: s.backup_list(), "All backups"),
    Route(
        "POST",
        "/backups",
        m.BackupMake,
        m.BackupView,
        lambda s, _p, b: s.backup_make(b),
        "Back up an ECU on both media",
    ),
    Route(
        "POST",
        "/backups/{backup}/verify",
        None,
        m.BackupVerified,
        lambda s, p, _b: s.backup_verify(p["backup"]),
        "Read both copies again; repair one from the other",
    ),
    Route(
        "POST",
        "/backups/{backup}/open",
        m.OpenBackup,
        m.Files,
        lambda s, p, b: s.backup_open(p["backup"], b.passphrase),
        "Decrypt a backup",
    ),
    Route(
        "GET",
        "/jobs",
        None,
        m.Jobs,
        lambda s, p, _b: s.job_list(p.get("words", ""), p.get("before", ""), p.get("limit", "")),
        "Jobs, the newest first, a page at a time",
        query=("words", "before", "limit"),
    ),
    Route("POST", "/jobs", m.JobNew, m.JobView, lambda s, _p, b: s.job_new(b), "Open a job"),
    Route("GET", "/jobs/{job}", None, m.JobView, lambda s, p, _b: s.job_show(p["job"]), "One job"),
    Route("GET", "/jobs/{job}/events", None, m.JobEvent, None, "A job's events, as they come"),
    Route("GET", "/orders", None, m.Orders, lambda s, _p, _b: s.order_list(), "Work orders"),
    Route(
        "GET",
        "/orders/{reference}",
        None,
        m.OrderView,
        lambda s, p, _b: s.order_show(p["reference"]),
        "One work order",
    ),
    Route(
        "POST",
        "/orders/{reference}/job",
        None,
        m.JobView,
        lambda s, p, _b: s.order_open(p["reference"]),
        "The job for a work order: a new one, or the one that there is",
    ),
    Route(
        "GET",
        "/jobs/{job}/agreements",
        None,
        m.Agreements,
        lambda s, p, _b: s.agreements(p["job"], p.get("plan", ""), p.get("language", "")),
        "Texts that a plan needs the customer to sign, or all",
        query=("plan", "language"),
    ),
    Route(
        "POST",
        "/jobs/{job}/agreements",
        m.Agree,
        m.Okay,
        lambda s, p, b: s.agree(p["job"], b),
        "The customer signs a text before the technician who has the kit",
    ),
    Route(
        "POST",
        "/jobs/{job}/check",
        m.CheckPlan,
        m.GateView,
        lambda s, p, b: s.check_gates(p["job"], b.plan),
        "Ask all gates about a plan; no permit is made",
    ),
    Route(
        "POST",
        "/jobs/{job}/run",
        m.RunPlan,
        m.Started,
        lambda s, p, b: s.run(p["job"], b),
        "Acknowledge, pass the gates, start the write",
    ),
    Route(
        "POST",
        "/jobs/{job}/resume",
        m.Acknowledge,
        m.Started,
        lambda s, p, b: s.resume(p["job"], b),
        "Acknowledge again and resume a write that was cut",
    ),
    Route(
        "POST",
        "/jobs/{job}/abort",
        None,
        m.Okay,
        lambda s, p, _b: s.abort(p["job"]),
        "End a write at its next safe point",
    ),
    Route(
        "GET",
        "/jobs/{job}/run",
        None,
        m.PlanView,
        lambda s, p, _b: s.running_plan(p["job"]),
        "The plan of the write that is under way",
    ),
    Route(
        "POST",
        "/jobs/{job}/recovery",
        m.RecoverOn,
        m.RecoveryView,
        lambda s, p, b: s.recovery(p["job"], b.link),
        "Compile the plan that finishes an unfinished write",
    ),
    Route(
        "POST",
        "/jobs/{job}/verify",
        None,
        m.ChainVerified,
        lambda s, p, _b: s.job_verify(p["job"]),
        "Compute the job's chain again",
    ),
    Route(
        "GET",
        "/jobs/{job}/report",
        None,
        m.File,
        lambda s, p, _b: s.job_report(p["job"]),
        "PDF report of a job, to be looked at; no export",
    ),
    Route(
        "POST",
        "/jobs/{job}/export",
        None,
        m.Files,
        lambda s, p, _b: s.job_export(p["job"]),
        "JSON, files and PDF report of a job",
    ),
    Route(
        "POST",
        "/jobs/{job}/export/stick",
        m.ExportOnto,
        m.ExportedOnto,
        lambda s, p, b: s.job_export_onto(p["job"], b),
        "Write a job's export onto a stick",
    ),
)
