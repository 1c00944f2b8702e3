"""`Service`: one method for each thing that the API offers.

Threads: the API calls from worker threads; one thread keeps the connection to hw, one brings hw's
events onto the record. While the kit is locked only `status`, `doctor`, `about`, `diagnostics`,
`technicians`, `unlock` and the list of profiles work: keys, jobs and backups are encrypted until a
technician comes.
"""

from __future__ import annotations

import hashlib
import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from msgspec import structs

from appliance.api import messages as m
from appliance.backups.media import media_of
from appliance.diagnostics import Bundle, about, bundle, head_of, mask_of, read_logs
from appliance.identity import (
    Unlocked,
    add_technician,
    change_passphrase,
    list_technicians,
    renew_trust,
    sign_profile,
)
from appliance.identity import unlock as unlock_kit
from appliance.identity.tries import waits_s
from appliance.plans.compiled import CompiledPlan
from appliance.plans.compiler import compile_coding, compile_flash, compile_restore
from appliance.plans.values import read_field
from appliance.profiles.loader import load_profile, parse_profile, signature_path
from appliance.profiles.schema import Coding, Identification, Profile, text_of
from appliance.records import Customer, Vehicle, parse_vehicle, vehicle
from appliance.records.events import BackupVerified, CopyFound, DidValue, Identified, Note
from appliance.records.vehicle import described
from appliance.service import network
from appliance.service.agreeing import AgreementDesk
from appliance.service.backing import BackupDesk
from appliance.service.book import JOBS_AT_ONCE, Book
from appliance.service.car import DidAnswer, Ecu, identity_of
from appliance.service.coding import coding_view
from appliance.service.doctor import examine
from appliance.service.errors import EcuRefused, Locked
from appliance.service.hwlink import HwLink
from appliance.service.ingest import Ingest
from appliance.service.kitstate import KitState, Seen
from appliance.service.links import is_discovery
from appliance.service.mediause import medium_use
from appliance.service.orders import open_order, order_shown, orders_shown
from appliance.service.plans import kept, plan_view, read_container
from appliance.service.sensor import sensor_of
from appliance.service.sticks import FromStick, StickDesk
from appliance.service.syncing import Syncing
from appliance.service.writing import UNFINISHED, Writer
from appliance.sync.silence import Silence
from hw.client import HwClient
from hw.config import load_config
from hw.errors import FieldKitError, UnavailableError, UsageError
from hw.messages import RunInfo, Status

log = logging.getLogger("fieldkit.service")

CAR_TURN_S = 2.0
"""A command waits so long for another one that talks to the car; then it is told so."""
SETTLES_WITHIN_S = 2.0
"""A job is shown as it is recorded, should the card not take what is new within so long."""
HW_GONE_S = 15.0
"""Followers of a write are told when hw has been away for so long."""


@dataclass(frozen=True)
class _Opened:
    """What exists only while the kit is unlocked."""

    unlocked: Unlocked
    book: Book


class Service:
    """See the module. A context manager: leaving it closes everything; a write goes on in hw.

    Args:
        state: the kit's state folder.
        run: folder of the sockets.
    """

    def __init__(self, state: Path, run: Path) -> None:
        self._state, self._run = state, run
        self._kit = KitState(state)
        self._ingest = Ingest(self._hw_client)
        self._hw = HwLink(run / "hw.sock", self._ingest.take, self._ingest.wake)
        self._lock = threading.RLock()
        self._car = threading.Lock()
        self._people = threading.Lock()
        """Whoever changes slots and the list of trust; reading them needs none."""
        self._opened: _Opened | None = None
        self._syncing = Syncing(state, self._writes, self._people, self._unfinished)

    def __enter__(self) -> Service:
        self._ingest.start()
        self._hw.start()
        self._syncing.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._shut()
        self._syncing.close()
        self._ingest.close()
        self._hw.close()

    # The kit ----------------------------------------------------------------------------------

    def status(self) -> m.KitStatus:
        """The kit in this moment."""
        hw, runs = self._hw_status()
        seen = self._kit.now()
        opened = self._opened
        who = opened.unlocked.technician if opened is not None else None
        return m.KitStatus(
            locked=opened is None,
            technician=who.name if who is not None else "",
            role=who.role if who is not None else "",
            hw=hw if isinstance(hw, Status) else None,
            hw_problem=_problem(hw) if isinstance(hw, FieldKitError) else None,
            record_problem=_problem(lag) if (lag := self._ingest.problem) is not None else None,
            runs=[run for run in runs if run.state in ("running", *UNFINISHED)],
            simulated=list(hw.simulated) if isinstance(hw, Status) else _simulated_media(seen),
            media=seen.media,
            clock=seen.clock,
            sync=self._syncing.view(),
            supply=seen.supply,
        )

    def doctor(self) -> m.Doctor:
        """Everything that a write needs."""
        hw, _ = self._hw_status()
        checks = examine(self._state, hw, locked=self._opened is None)
        return m.Doctor(ready=all(check.ok is not False for check in checks), checks=checks)

    def about(self) -> m.About:
        """Versions and storage."""
        return about(self._state)

    def diagnostics(self) -> m.File:
        """Logs and state in one archive, without secrets and customers.

        While the kit is locked the customers are not known, so that logs are left out.
        """
        _, runs = self._hw_status()
        opened = self._opened
        views = opened.book.all() if opened is not None else None
        found = Bundle(
            about=self.about(),
            status=self.status(),
            doctor=self.doctor(),
            runs=runs,
            records=[head_of(view) for view in views] if views is not None else None,
            logs=read_logs(self._run) if views is not None else None,
        )
        people = [name for name, _role in list_technicians(self._state)]
        return bundle(found, self._state, mask_of(views or (), people))

    def diagnostics_onto(self, asked: m.ExportOnto) -> m.SavedOnto:
        """Write the archive onto a stick."""
        self._open()
        file = self.diagnostics()
        stick, name = self._stick_desk().put_file(asked.stick, file)
        return m.SavedOnto(
            what=f"The diagnostics lie on {stick.name} as {name}.",
            stick=asked.stick,
            name=name,
            size_bytes=len(file.content),
        )

    def technicians(self) -> m.Technicians:
        """Who can unlock the kit, and how long each must still wait after wrong tries.

        Raises:
            FieldKitError: a slot, or the list of wrong tries, is damaged.
        """
        waits = waits_s(self._state)
        return m.Technicians(
            technicians=[
                m.TechnicianView(name=name, role=role, wait_s=waits.get(name, 0))
                for name, role in list_technicians(self._state)
            ]
        )

    def unlock(self, asked: m.Unlock) -> m.Okay:
        """Open the kit; another technician who had it is replaced.

        Raises:
            PassphraseError: name and passphrase do not fit together.
        """
        unlocked = unlock_kit(self._state, asked.technician, asked.passphrase)
        with self._lock:
            self._shut()
            self._renew_trust(unlocked)
            book = Book.open(unlocked)
            self._opened = _Opened(unlocked, book)
            self._ingest.open(book)
            self._syncing.open(unlocked, book, load_config(self._state))
        return m.Okay(what=f"The kit is unlocked by {unlocked.technician.name}.")

    def _renew_trust(self, unlocked: Unlocked) -> None:
        try:
            with self._people:
                renew_trust(unlocked)
        except UnavailableError as error:
            # A full card must keep nobody from a job; until it can be written no agreement counts.
            log.warning("the list of allowed signers was not renewed: %s", error.what)

    def technician_add(self, asked: m.TechnicianNew) -> m.Okay:
        """Add a technician, for an owner who gives their passphrase once more.

        Raises:
            PassphraseError: that passphrase is wrong; the try is counted.
            NotPermittedError: whoever has the kit is no owner.
            FieldKitError: the name, role or new passphrase cannot be taken.
        """
        owner = unlock_kit(self._state, self._open().unlocked.technician.name, asked.passphrase)
        with self._people:
            add_technician(owner, asked.name, asked.role, asked.new_passphrase)
        return m.Okay(what=f"{asked.name} can now unlock this kit.")

    def passphrase_change(self, asked: m.PassphraseNew) -> m.Okay:
        """Change the passphrase of whoever has the kit; it stays unlocked.

        Raises:
            PassphraseError: the old passphrase is wrong; the try is counted.
            BadInputError: the new one is too short.
        """
        name = self._open().unlocked.technician.name
        with self._people:
            change_passphrase(self._state, name, asked.passphrase, asked.new_passphrase)
        return m.Okay(what=f"The passphrase of {name} is changed.")

    def lock(self) -> m.Okay:
        """Forget all keys."""
        self._shut()
        return m.Okay(what="The kit is locked. A write that runs goes on.")

    def _shut(self) -> None:
        with self._lock:
            opened, self._opened = self._opened, None
            self._syncing.shut()
            self._ingest.shut()
            if opened is not None:
                opened.book.close()

    # The workshop -----------------------------------------------------------------------------

    def sync(self) -> m.Sync:
        """The way to the workshop."""
        return self._syncing.view()

    def sync_now(self, *, wait: bool) -> m.Sync:
        """Hand over what is new; with `wait` answers when that is done, or after a while."""
        self._settled()
        return self._syncing.now(wait=wait)

    def sync_enrol(self, asked: m.SyncEnrol) -> m.Okay:
        """Let this kit in at a workshop.

        Raises:
            NotPermittedError: no owner has the kit.
            FieldKitError: the code is not good, or the workshop was not reached.
        """
        self._open()
        return self._syncing.enrol(asked.code)

    # Profiles ---------------------------------------------------------------------------------

    def profile_list(self) -> m.Profiles:
        """Profiles on this kit, the unusable ones with the reason."""
        names = sorted(path.stem for path in (self._state / "profiles").glob("*.toml"))
        return m.Profiles(profiles=[self._profile_view(name) for name in names])

    def _profile_view(self, name: str) -> m.ProfileView:
        try:
            profile = load_profile(name, self._state).profile
        except FieldKitError as error:
            return m.ProfileView(name=name, title="", ecu="", writes=[], problem=error.what)
        writes = [
            word
            for word, sequence in (("flash", profile.flash), ("code", profile.code))
            if sequence is not None
        ]
        return m.ProfileView(name=name, title=profile.title, ecu=profile.ecu, writes=writes)

    def profile_coding(self, name: str) -> m.CodingView:
        """The coding that a profile names, with what each field can be."""
        self._open()
        return coding_view(load_profile(name, self._state).profile)

    def profile_sign(self, asked: m.SignProfile) -> m.ProfileSigned:
        """Sign a profile with the workshop's key; only a standalone kit holds it.

        Raises:
            FieldKitError: the profile has a wrong field, or this technician may not sign.
        """
        opened = self._open()
        profile = parse_profile(asked.content, Path(asked.name))
        name = opened.unlocked.technician.name
        unlocked = unlock_kit(self._state, name, asked.passphrase)
        staged = self._state / "profiles" / f".{profile.name}.toml"
        try:
            staged.write_bytes(asked.content)
            signature = sign_profile(unlocked, staged)
            content = signature.read_bytes()
            if asked.install:
                final = self._state / "profiles" / f"{profile.name}.toml"
                # Signature first: a crash in between leaves a profile that is refused.
                signature.replace(signature_path(final))
                staged.replace(final)
            return m.ProfileSigned(name=profile.name, signature=content, installed=asked.install)
        finally:
            staged.unlink(missing_ok=True)
            signature_path(staged).unlink(missing_ok=True)

    # Network ----------------------------------------------------------------------------------

    def network(self, *, scan: bool) -> m.Network:
        """Wi-Fi networks around; with `scan` looked for anew."""
        self._open()
        return network.view(scan=scan)

    def network_join(self, asked: m.JoinNetwork) -> m.Okay:
        """Join a Wi-Fi network.

        Raises:
            UnavailableError: a write runs or may run, or the network cannot be joined.
        """
        self._open()
        with self._turn():
            self._demand_no_write()
            network.join(asked.ssid, asked.passphrase)
        return m.Okay(what=f"The kit is in the network {asked.ssid}.")

    def network_forget(self, asked: m.ForgetNetwork) -> m.Okay:
        """Forget a Wi-Fi network.

        Raises:
            UnavailableError: a write runs or may run.
        """
        self._open()
        with self._turn():
            self._demand_no_write()
            network.forget(asked.ssid)
        return m.Okay(what=f"The network {asked.ssid} is forgotten.")

    def _demand_no_write(self) -> None:
        """A write may go over the very network that would be left. Without hw's word it may run."""
        if any(run.state == "running" for run in self._hw.client().journal()):
            raise UnavailableError(
                "The network is not changed while a write runs.", "Wait until it has ended."
            )

    # Media and sensor -------------------------------------------------------------------------

    def media(self) -> m.Media:
        """What is on the two backup media."""
        book = self._open().book
        media = load_config(self._state).media
        return m.Media(media=[medium_use(medium, media, book) for medium in media_of(media)])

    def sensor(self) -> m.Sensor:
        """The voltage sensor of the kit's configuration."""
        self._open()
        return sensor_of(load_config(self._state).voltage)

    # Sticks -----------------------------------------------------------------------------------

    def sticks(self) -> m.Sticks:
        """USB sticks that are plugged in."""
        self._open()
        return m.Sticks(sticks=self._stick_desk().all())

    def stick_files(self, path: str) -> m.StickFolder:
        """What lies in a folder on a stick."""
        self._open()
        if not path:
            raise UsageError("No folder is named.", "Name a stick's folder in path=.")
        return self._stick_desk().files(path)

    def container_inspect(self, asked: m.InspectContainer) -> m.ContainerView:
        """What a container on a stick says of itself."""
        self._open()
        profile = load_profile(asked.profile, self._state).profile if asked.profile else None
        return self._stick_desk().inspect(asked.path, profile)

    def job_export_onto(self, job: str, asked: m.ExportOnto) -> m.ExportedOnto:
        """Write a job's export onto a stick; only once it lies there, it goes on the record."""
        book = self._settled().book
        found = book.find(job)
        desk = self._stick_desk()

        def deliver(files: list[m.File]) -> m.ExportedOnto:
            stick, folder = desk.put(asked.stick, f"fieldkit-{found}", files)
            return m.ExportedOnto(
                what=f"The export lies on {stick.name} in the folder {folder}.",
                stick=asked.stick,
                folder=folder,
                files=len(files),
                size_bytes=sum(len(item.content) for item in files),
            )

        return book.export_by(found, deliver)

    def _stick_desk(self) -> StickDesk:
        return StickDesk(load_config(self._state))

    # The car ----------------------------------------------------------------------------------

    def links(self) -> m.Links:
        """Links that the kit's configuration names."""
        self._open()
        links = load_config(self._state).links
        return m.Links(
            links=[
                m.LinkView(name=one.name, uri=one.uri, discovery=is_discovery(one.uri))
                for one in links
            ]
        )

    def discover(self, link: str) -> m.Discovered:
        """ECUs that announce themselves."""
        self._open()
        with self._turn():
            found = self._hw.client().discover(link)
        return m.Discovered(
            ecus=[
                m.FoundOnLink(
                    link=ecu.link,
                    logical_address=ecu.logical_address,
                    vin=ecu.vin,
                    eid=ecu.eid,
                )
                for ecu in found
            ]
        )

    def identify(self, asked: m.OnLink) -> m.Identity:
        """Read every identification and coding DID of the profile."""
        opened = self._open()
        job = opened.book.find(asked.job) if asked.job else ""
        loaded = load_profile(asked.profile, self._state)
        with self._turn():
            ecu = Ecu(self._hw.client(), loaded, asked.link)
            identification, coding = ecu.identification(), ecu.coding()
        profile = loaded.profile
        pairs = zip(profile.identification, identification, strict=True)
        values = [_shown(entry, answer) for entry, answer in pairs]
        coded = zip(profile.coding, coding, strict=True)
        values += [_shown_coding(entry, answer) for entry, answer in coded]
        identity = m.Identity(
            ecu=profile.ecu,
            title=profile.title,
            profile=profile.name,
            link=asked.link,
            values=values,
        )
        if job:
            opened.book.append(job, _identified(identity))
        return identity

    def read(self, asked: m.ReadValue) -> m.ReadReply:
        """Read one DID or one memory region."""
        self._open()
        loaded = load_profile(asked.profile, self._state)
        profile = loaded.profile
        with self._turn():
            ecu = Ecu(self._hw.client(), loaded, asked.link)
            if asked.did is not None:
                return _read_reply(profile, asked.did, ecu.read_did(asked.did))
            return _region_reply(profile, ecu, asked.region)

    # Plans ------------------------------------------------------------------------------------

    def plan_flash(self, asked: m.PlanFlash) -> m.PlanView:
        """Compile a flash."""
        opened = self._open()
        Silence(opened.book.store).demand_heard()
        job = opened.book.find(asked.job)
        source = self._container(asked)
        image = read_container(source.name, source.content, source.manifest)
        loaded = load_profile(asked.profile, self._state)
        with self._turn():
            live = identity_of(Ecu(self._hw.client(), loaded, asked.link).identification())
        plan = compile_flash(loaded, live, image, asked.link, job)
        opened.book.keep_file(source.content)
        return self._keep(opened, job, plan)

    def _container(self, asked: m.PlanFlash) -> FromStick:
        if asked.path and asked.content is None and asked.manifest is None and not asked.name:
            return self._stick_desk().container(asked.path)
        if asked.content is None or not asked.name or asked.path:
            raise UsageError(
                "A flash takes one file: its name and content, or its path on a stick.",
                "Give either of the two.",
            )
        return FromStick(asked.name, asked.content, asked.manifest)

    def plan_code(self, asked: m.PlanCode) -> m.PlanView:
        """Compile a change of coding."""
        opened = self._open()
        Silence(opened.book.store).demand_heard()
        job = opened.book.find(asked.job)
        loaded = load_profile(asked.profile, self._state)
        with self._turn():
            ecu = Ecu(self._hw.client(), loaded, asked.link)
            live, coding = identity_of(ecu.identification()), ecu.coding()
        current = {answer.did: answer.value for answer in coding if not answer.refused}
        plan = compile_coding(loaded, live, current, asked.settings, asked.link, job)
        return self._keep(opened, job, plan)

    def plan_restore(self, asked: m.PlanRestore) -> m.PlanView:
        """Compile a restore from a backup of this very ECU."""
        opened = self._open()
        Silence(opened.book.store).demand_heard()
        job = opened.book.find(asked.job)
        loaded = load_profile(asked.profile, self._state)
        with self._turn():
            live = identity_of(Ecu(self._hw.client(), loaded, asked.link).identification())
        content = self._desk(opened).content_for_restore(asked.backup, loaded, live)
        plan = compile_restore(
            loaded,
            live,
            asked.link,
            job,
            source=asked.backup,
            coding=content.coding if asked.what in ("coding", "all") else None,
            memory=content.memory if asked.what in ("image", "all") else None,
        )
        return self._keep(opened, job, plan)

    def plan_show(self, document: bytes) -> m.PlanView:
        """What a plan's file will do."""
        return self._shown_plan(self._open(), document)

    def plan_kept(self, digest: str) -> m.PlanView:
        """A plan that this kit made.

        Raises:
            UsageError: it did not.
        """
        opened = self._open()
        return self._shown_plan(opened, opened.book.plan(digest).document)

    def _shown_plan(self, opened: _Opened, document: bytes) -> m.PlanView:
        return plan_view(document, AgreementDesk(opened.unlocked, opened.book).needed(document))

    def _keep(self, opened: _Opened, job: str, plan: CompiledPlan) -> m.PlanView:
        view = self._shown_plan(opened, plan.document)
        opened.book.keep_plan(job, kept(plan), view.description.lines)
        return view

    # Backups ----------------------------------------------------------------------------------

    def backup_make(self, asked: m.BackupMake) -> m.BackupView:
        """Back up an ECU on both media and put it on the job's record."""
        opened = self._open()
        job = opened.book.find(asked.job)
        asked = self._with_known_good(asked)
        loaded = load_profile(asked.profile, self._state)
        with self._turn():
            ecu = Ecu(self._hw.client(), loaded, asked.link)
            desk = self._desk(opened)
            made = desk.make(job, loaded, ecu, asked)
        opened.book.append(job, desk.recorded(made))
        # Both copies were read back before the backup counted.
        opened.book.note_verified("AB", made.ref.id)
        return desk.view(made)

    def _with_known_good(self, asked: m.BackupMake) -> m.BackupMake:
        """The request with its known-good file read, where that lies on a stick."""
        if not asked.known_good_path:
            return asked
        if asked.known_good is not None:
            raise UsageError(
                "A known-good file is given twice: as content and by its path.", "Give one of them."
            )
        file = self._stick_desk().container(asked.known_good_path)
        return structs.replace(asked, known_good=file.content, known_good_name=file.name)

    def backup_list(self) -> m.Backups:
        """All backups on the two media."""
        return m.Backups(backups=self._desk(self._open()).all())

    def backup_verify(self, backup: str) -> m.BackupVerified:
        """Read both copies again; repair one from the other."""
        opened = self._open()
        reply = self._desk(opened).verify(backup)
        whole = [
            medium
            for medium, copy in zip("AB", reply.copies, strict=True)
            if copy.state != "damaged"
        ]
        opened.book.note_verified(whole, backup)
        copies = [CopyFound(folder=c.folder, state=c.state, found=c.found) for c in reply.copies]
        body = BackupVerified(backup=backup, whole=reply.whole, copies=copies)
        for job in opened.book.jobs_of_backup(backup):
            opened.book.append(job, body)
        return reply

    def backup_open(self, backup: str, passphrase: str) -> m.Files:
        """Decrypt a backup, for a technician who gives their passphrase once more."""
        opened = self._open()
        name = opened.unlocked.technician.name
        unlock_kit(self._state, name, passphrase)
        files = self._desk(opened).open(backup)
        for job in opened.book.jobs_of_backup(backup):
            opened.book.append(job, Note(author=name, text=f"Backup {backup} was decrypted."))
        return m.Files(what=f"Backup {backup} is decrypted. Keep these files safe.", files=files)

    def _desk(self, opened: _Opened) -> BackupDesk:
        return BackupDesk(opened.unlocked, load_config(self._state).media)

    # Work orders ------------------------------------------------------------------------------

    def order_list(self) -> m.Orders:
        """Work orders that came from the workshop."""
        return m.Orders(orders=orders_shown(self._open().book))

    def order_show(self, reference: str) -> m.OrderView:
        """One of them."""
        return order_shown(self._open().book, reference)

    def order_open(self, reference: str) -> m.JobView:
        """The job for one of them."""
        return open_order(self._open().book, reference)

    # Jobs -------------------------------------------------------------------------------------

    def job_new(self, asked: m.JobNew) -> m.JobView:
        """Open a job."""
        opened = self._open()
        job = opened.book.new_job(_customer(asked), _vehicle(asked), asked.complaint)
        return opened.book.view(job)

    def job_list(self, words: str, before: str, limit: str) -> m.Jobs:
        """A page of jobs, the newest first: those with all these words, older than a job's id.

        Raises:
            UsageError: the limit is no number.
        """
        if limit and not (limit.isascii() and limit.isdigit()):
            raise UsageError(f"limit={limit} is not a number.", "Say how many jobs a page holds.")
        return self._settled().book.jobs(words, before, int(limit or JOBS_AT_ONCE))

    def job_show(self, job: str) -> m.JobView:
        """One job."""
        opened = self._settled()
        return opened.book.view(opened.book.find(job))

    def job_verify(self, job: str) -> m.ChainVerified:
        """Compute the chain again."""
        opened = self._settled()
        return opened.book.verify(opened.book.find(job))

    def job_export(self, job: str) -> m.Files:
        """JSON, files and PDF of a job."""
        opened = self._settled()
        found = opened.book.find(job)
        return m.Files(what=f"The record of job {found}.", files=opened.book.export(found))

    def job_report(self, job: str) -> m.File:
        """The PDF report of a job, to be looked at; it is not an export."""
        opened = self._settled()
        return opened.book.report(opened.book.find(job))

    def events_after(self, job: str, after: int, wait_s: float) -> list[m.JobEvent]:
        """Events of a job after a number; waits for one up to `wait_s`.

        Raises:
            UnavailableError: hw has been away for long, so that a write cannot be followed.
        """
        book = self._open().book
        events = book.events(book.find(job), after, wait_s)
        if not events and wait_s and self._hw.away_s() > HW_GONE_S:
            raise UnavailableError(
                "The hardware process is gone and does not come back.",
                "Restart the kit; it says then whether a write is unfinished.",
            )
        return events

    # Agreements -------------------------------------------------------------------------------

    def agreements(self, job: str, plan: str, language: str) -> m.Agreements:
        """The texts that a plan needs, or all of them, and whether they are signed."""
        opened = self._open()
        desk = AgreementDesk(opened.unlocked, opened.book)
        return desk.texts(opened.book.find(job), plan, language)

    def agree(self, job: str, asked: m.Agree) -> m.Okay:
        """The customer signs a text before the technician who has the kit."""
        opened = self._open()
        desk = AgreementDesk(opened.unlocked, opened.book)
        return desk.sign(opened.book.find(job), asked)

    # Writes -----------------------------------------------------------------------------------

    def check_gates(self, job: str, document: bytes) -> m.GateView:
        """Ask all gates about a plan."""
        opened = self._open()
        with self._turn():
            return self._writer(opened).check(opened.book.find(job), document)

    def run(self, job: str, asked: m.RunPlan) -> m.Started:
        """Run a plan."""
        opened = self._open()
        with self._turn():
            return self._writer(opened).run(opened.book.find(job), asked)

    def resume(self, job: str, asked: m.Acknowledge) -> m.Started:
        """Resume the write that was cut."""
        opened = self._open()
        return self._writer(opened).resume(opened.book.find(job), asked)

    def abort(self, job: str) -> m.Okay:
        """End the write at its next safe point."""
        opened = self._open()
        self._writer(opened).abort(opened.book.find(job))
        return m.Okay(what="The write ends at its next safe point; it can then be recovered.")

    def running_plan(self, job: str) -> m.PlanView:
        """The plan of the write under way."""
        opened = self._open()
        info = self._writer(opened).running(opened.book.find(job))
        return self._shown_plan(opened, opened.book.plan(info.plan_digest).document)

    def recovery(self, job: str, link: str) -> m.RecoveryView:
        """Compile the plan that finishes the unfinished write."""
        opened = self._open()
        found = opened.book.find(job)
        with self._turn():
            plan = self._writer(opened).recovery(found, link)
        view = self._keep(opened, found, plan)
        return m.RecoveryView(recovers=plan.plan.recovers, plan=view)

    def _writer(self, opened: _Opened) -> Writer:
        return Writer(
            opened.unlocked,
            opened.book,
            self._hw.client(),
            self._desk(opened),
            Silence(opened.book.store),
        )

    # Helpers ----------------------------------------------------------------------------------

    def _open(self) -> _Opened:
        opened = self._opened
        if opened is None:
            raise Locked
        return opened

    def _settled(self) -> _Opened:
        """The opened kit with all on its record that hw had told or done before now."""
        opened = self._open()
        self._ingest.settle(SETTLES_WITHIN_S)
        return opened

    @contextmanager
    def _turn(self) -> Iterator[None]:
        """One command at a time talks to the car."""
        if not self._car.acquire(timeout=CAR_TURN_S):
            raise UnavailableError(
                "Another command is talking to the car.", "Wait until it has ended, then try again."
            )
        try:
            yield
        finally:
            self._car.release()

    def _hw_client(self) -> HwClient:
        return self._hw.client()

    def _writes(self) -> bool:
        _, runs = self._hw_status()
        return any(run.state == "running" for run in runs)

    def _unfinished(self) -> set[str]:
        """Jobs of which a write runs or is unfinished; raises where hw does not tell."""
        runs = self._hw.client().journal()
        return {run.job for run in runs if run.state in ("running", *UNFINISHED)}

    def _hw_status(self) -> tuple[Status | FieldKitError, list[RunInfo]]:
        try:
            hw = self._hw.client()
            return hw.status(), hw.journal()
        except FieldKitError as error:
            return error, []


def _simulated_media(seen: Seen) -> list[str]:
    """What is simulated as far as the configuration says so, while hw cannot be asked."""
    return ["media"] if seen.config is not None and seen.config.media.simulated else []


def _problem(error: FieldKitError) -> m.Problem:
    return m.Problem(
        code=error.code,
        what=error.what,
        next_step=error.next_step,
        exit_status=error.exit_status,
        gate=getattr(error, "gate", ""),
    )


def _customer(asked: m.JobNew) -> Customer:
    return Customer(name=asked.customer, phone=asked.phone.strip(), email=asked.email.strip())


def _vehicle(asked: m.JobNew) -> Vehicle:
    vin = asked.vin.strip() or (parse_vehicle(asked.vehicle).vin if asked.vehicle.strip() else "")
    description = described(asked.vehicle, asked.make, asked.model, asked.year)
    return vehicle(description, vin, asked.plate, asked.odometer_km)


# How values are shown -----------------------------------------------------------------------------


def _shown(entry: Identification, answer: DidAnswer) -> m.Value:
    text = "" if answer.refused else text_of(entry.encoding, answer.value)
    return m.Value(
        did=entry.did,
        name=entry.name,
        label=entry.label,
        hex=answer.value.hex(),
        text=text,
        refused=answer.refused,
    )


def _shown_coding(entry: Coding, answer: DidAnswer) -> m.Value:
    whole = len(answer.value) == entry.length
    return m.Value(
        did=entry.did,
        name=entry.name,
        label=entry.label,
        hex=answer.value.hex(),
        text=answer.value.hex(),
        fields={field.name: read_field(field, answer.value) for field in entry.fields if whole},
        refused=answer.refused,
    )


def _identified(identity: m.Identity) -> Identified:
    return Identified(
        ecu=identity.ecu,
        profile=identity.profile,
        link=identity.link,
        values=[
            DidValue(
                did=value.did,
                label=value.label,
                value=value.hex,
                text=value.text,
                refused=value.refused,
            )
            for value in identity.values
        ],
    )


def _read_reply(profile: Profile, did: int, answer: DidAnswer) -> m.ReadReply:
    if answer.refused:
        raise EcuRefused(answer.refused, "Read another DID, or see the profile.")
    entry = profile.identification_by_did(did)
    text = text_of(entry.encoding if entry is not None else "hex", answer.value)
    name = entry.label if entry is not None else f"0x{did:04X}"
    return m.ReadReply(name=name, hex=answer.value.hex(), text=text)


def _region_reply(profile: Profile, ecu: Ecu, name: str) -> m.ReadReply:
    region = next((one for one in profile.memory if one.name == name), None)
    if region is None:
        known = ", ".join(one.name for one in profile.memory)
        raise UsageError(
            f"The profile {profile.name} has no memory region {name!r}.",
            f"Name one of: {known}." if known else "Choose a profile with memory regions.",
        )
    answer = ecu.region(region)
    if answer.response:
        raise EcuRefused(
            f"The ECU refuses to give the region {name}: {answer.request} -> {answer.response}.",
            "A backup records this refusal and takes a known-good file instead.",
        )
    digest = hashlib.sha256(answer.data).hexdigest()
    return m.ReadReply(name=name, hex=answer.data.hex(), text="", sha256=digest)
