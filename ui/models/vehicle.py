"""The vehicle: links and the ECUs on them, what an ECU says of itself, and its backup."""

from __future__ import annotations

from msgspec import Struct

from appliance.client import messages
from ui.models import words
from ui.models.links import DefaultLink, LinkRow, link_rows
from ui.models.shared import Asking, AskingState, Shared


class EcuRow(Struct, frozen=True, kw_only=True):
    """A kind of ECU that the kit knows. `problem`: why it cannot be used, empty where it can."""

    profile: str
    title: str
    ecu: str
    can_flash: bool
    can_code: bool
    problem: str


class FoundRow(Struct, frozen=True, kw_only=True):
    """An ECU that announced itself."""

    link: str
    address: str
    vin: str
    eid: str


class ValueRow(Struct, frozen=True, kw_only=True):
    """One value of an ECU; `refused` says why it could not be read."""

    did: str
    label: str
    text: str
    refused: str


class VehicleState(AskingState, frozen=True, kw_only=True):
    """Attributes:
    links: the kit's links.
    ecus: kinds of ECU, those with a problem last.
    found: ECUs that announced themselves, after a search.
    searched: a search was made.
    link, profile: what was chosen.
    title, ecu: the ECU that was read.
    values: what it says of itself and its coding.
    backup: id of the newest backup of this job, empty for none.
    vin_differs: the VIN that the ECU tells, where it is not the job's; empty where it is.
    can_go_on: an ECU was read.
    """

    links: tuple[LinkRow, ...] = ()
    ecus: tuple[EcuRow, ...] = ()
    found: tuple[FoundRow, ...] = ()
    searched: bool = False
    link: str = ""
    profile: str = ""
    title: str = ""
    ecu: str = ""
    values: tuple[ValueRow, ...] = ()
    backup: str = ""
    vin_differs: str = ""
    can_go_on: bool = False


class VehicleModel(Asking[VehicleState]):
    """Finds, chooses and reads ECUs.

    Args:
        shared: the screen's parts.
        default: the link that is chosen beforehand where a job has none yet.
    """

    def __init__(self, shared: Shared, default: DefaultLink) -> None:
        super().__init__(VehicleState(), shared)
        self._default = default
        self._job, self._choose_default = "", False
        self.identity: messages.Identity | None = None
        """What the chosen ECU answered, for the screens that build on it."""
        shared.desk.subscribe(
            lambda desk: self._change(backup=desk.backups[-1] if desk.backups else "")
        )

    def open(self) -> None:
        """The screen is shown: fetch links and kinds of ECU; keep what was read for this job."""
        desk = self._shared.desk.state
        if desk.job != self._job:
            self._job, self.identity = desk.job, None
            self._choose_default = True
            self._change(found=(), searched=False, link=desk.link, profile=desk.profile)
            self._show(None)
        self._ask(
            lambda client: (client.links(), client.profiles()), lambda reply: self._fetched(*reply)
        )

    def choose(self, link: str, profile: str) -> None:
        """Choose an ECU by its link and kind; what was read of another one is taken away."""
        if (link, profile) != (self.state.link, self.state.profile):
            self._show(None)
        self._change(link=link, profile=profile, what="", next_step="")

    def discover(self, link: str) -> None:
        """Look for ECUs that announce themselves on a link."""
        self._change(found=(), searched=False)
        self._ask(lambda client: client.discover(link), self._discovered)

    def identify(self) -> None:
        """Read the chosen ECU; what it says goes on the job's record."""
        link, profile, job = self.state.link, self.state.profile, self._shared.desk.state.job
        if link and profile:
            self._show(None)
            self._ask(lambda client: client.identify(link, profile, job), self._identified)

    def back_up(self, known_good: str = "") -> None:
        """Back the chosen ECU up on both media.

        Args:
            known_good: path on a stick of the file that stands in where the ECU refuses memory
                readout; empty for none.
        """
        request = messages.BackupMake(
            link=self.state.link,
            profile=self.state.profile,
            job=self._shared.desk.state.job,
            known_good_path=known_good,
        )
        self._ask(
            lambda client: client.backup_make(request),
            lambda made: self._shared.desk.add_backup(made.backup),
        )

    def go_on(self) -> None:
        """On to choosing the work."""
        if self.state.can_go_on:
            self._shared.navigation.go("work")

    def _fetched(self, links: messages.Links, profiles: messages.Profiles) -> None:
        rows = link_rows(links)
        ecus = [
            EcuRow(
                profile=one.name,
                title=one.title or one.name,
                ecu=one.ecu,
                can_flash="flash" in one.writes,
                can_code="code" in one.writes,
                problem=one.problem,
            )
            for one in profiles.profiles
        ]
        self._change(links=rows, ecus=tuple(sorted(ecus, key=lambda row: bool(row.problem))))
        if self._choose_default and not self.state.link:
            chosen = next((row for row in rows if row.uri == self._default.uri), None)
            if chosen is not None and not chosen.discovery:
                self._change(link=chosen.uri)
        self._choose_default = False

    def _discovered(self, reply: messages.Discovered) -> None:
        found = tuple(
            FoundRow(
                link=ecu.link, address=words.did(ecu.logical_address), vin=ecu.vin, eid=ecu.eid
            )
            for ecu in reply.ecus
        )
        self._change(found=found, searched=True)

    def _identified(self, identity: messages.Identity) -> None:
        self._shared.desk.choose(identity.link, identity.profile, identity.ecu)
        self._show(identity)

    def _show(self, identity: messages.Identity | None) -> None:
        self.identity = identity
        values = identity.values if identity is not None else []
        vin = next((value.text for value in values if value.name == "vin"), "")
        wanted = self._shared.desk.state.vin
        self._change(
            title=identity.title if identity is not None else "",
            ecu=identity.ecu if identity is not None else "",
            values=tuple(
                ValueRow(
                    did=words.did(value.did),
                    label=value.label,
                    text=_text(value),
                    refused=value.refused,
                )
                for value in values
            ),
            vin_differs=vin if vin and wanted and vin != wanted else "",
            can_go_on=identity is not None,
        )


def _text(value: messages.Value) -> str:
    return ", ".join(f"{name} {text}" for name, text in value.fields.items()) or value.text
