"""Choosing the work: coding, programming from a file on a stick, or restoring a backup."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

from msgspec import Struct

from appliance.client import Client, messages
from ui.i18n import _
from ui.models import words
from ui.models.picking import Picking, PickingState
from ui.models.shared import Shared
from ui.models.vehicle import VehicleModel

Kind = Literal["", "coding", "programming", "restore"]
What = Literal["coding", "image", "all"]
Planned = Callable[[Callable[[Client], messages.PlanView]], None]


class Container(Struct, frozen=True, kw_only=True):
    """What a file says of itself, before it is taken.

    Attributes:
        good: it is whole; else `what` and `next_step` say why it cannot be used.
        fits: its bytes lie where the chosen ECU is written; None where that cannot be said.
        facts: lines of label and value: format, part numbers, version, size, checksum.
        usable: it can be taken.
    """

    path: str
    name: str
    good: bool
    what: str
    next_step: str
    fits: bool | None
    facts: tuple[tuple[str, str], ...]
    usable: bool


class OptionRow(Struct, frozen=True, kw_only=True):
    """A field of the coding, what it is and what it can be.

    Attributes:
        setting: names it for `set_option`.
        current: its value in the ECU now, as it is written; empty where it is not known.
        chosen: the value that it will get; empty where it stays.
        values, labels: what it can be and how that is shown; empty for a number.
        minimum, maximum, step, unit: of a number.
    """

    setting: str
    group: str
    label: str
    current: str
    chosen: str
    values: tuple[str, ...]
    labels: tuple[str, ...]
    minimum: float | None
    maximum: float | None
    step: float | None
    unit: str


class BackupChoice(Struct, frozen=True, kw_only=True):
    """A backup of this kind of ECU."""

    backup: str
    made: str
    objects: tuple[str, ...]
    of_this_job: bool


class WorkState(PickingState, frozen=True, kw_only=True):
    """Attributes:
    kind: `coding`, `programming`, `restore`, or empty while nothing is chosen.
    can_code, can_flash: the profile of the chosen ECU says how.
    container: the file that is looked at, None for none.
    options: fields of the coding.
    backups: what can be restored.
    backup, restore_what: what was chosen to be restored.
    can_plan: enough was chosen.
    """

    kind: Kind = ""
    can_code: bool = False
    can_flash: bool = False
    container: Container | None = None
    options: tuple[OptionRow, ...] = ()
    backups: tuple[BackupChoice, ...] = ()
    backup: str = ""
    restore_what: What = "all"
    can_plan: bool = False


class WorkModel(Picking[WorkState]):
    """Collects what is to be done and hands it to the plan.

    Args:
        shared: the screen's parts.
        vehicle: what is known of the chosen ECU.
        plan: compiles a plan and shows it.
    """

    def __init__(self, shared: Shared, vehicle: VehicleModel, plan: Planned) -> None:
        super().__init__(WorkState(), shared)
        self._vehicle, self._plan = vehicle, plan
        self._ecu: tuple[str, str, str] = ("", "", "")

    def open(self) -> None:
        """The screen is shown: what was chosen for another ECU is taken away."""
        desk = self._shared.desk.state
        if (desk.job, desk.link, desk.profile) == self._ecu:
            return
        self._ecu = (desk.job, desk.link, desk.profile)
        empty = WorkState()
        self._change(**{name: getattr(empty, name) for name in WorkState.__struct_fields__})
        self._ask(lambda client: client.profiles(), self._fetched)

    def choose(self, kind: Kind) -> None:
        """Choose the kind of work; fetches what there is to choose from."""
        self._change(kind=kind, container=None, backup="", can_plan=False, what="", next_step="")
        if kind == "programming":
            self.sticks()
        elif kind == "coding":
            profile, link = self._ecu[2], self._ecu[1]
            known = self._vehicle.identity
            self._ask(
                lambda client: (
                    client.profile_coding(profile),
                    known or client.identify(link, profile),
                ),
                lambda reply: self._coding(*reply),
            )
        elif kind == "restore":
            self._ask(lambda client: client.backup_list(), self._backups)

    # A file on a stick ------------------------------------------------------------------------

    def sticks(self) -> None:
        """Look for sticks."""
        self._change(container=None)
        super().sticks()

    def enter(self, path: str) -> None:
        """Open a folder on a stick."""
        self._change(container=None, can_plan=False)
        super().enter(path)

    def inspect(self, path: str) -> None:
        """Look at a file: nothing is taken by that."""
        profile = self._ecu[2]
        self._change(container=None, can_plan=False)
        self._ask(lambda client: client.container_inspect(path, profile), self._inspected)

    # Coding -----------------------------------------------------------------------------------

    def set_option(self, setting: str, value: str) -> None:
        """Choose a field's value; its present one, or none, leaves it as it is."""
        rows = tuple(
            _chosen(row, value) if row.setting == setting else row for row in self.state.options
        )
        self._change(options=rows, can_plan=any(row.chosen for row in rows))

    # A backup ---------------------------------------------------------------------------------

    def choose_backup(self, backup: str, what: What = "all") -> None:
        """Choose what is restored."""
        self._change(backup=backup, restore_what=what, can_plan=bool(backup))

    # The plan ---------------------------------------------------------------------------------

    def plan(self) -> None:
        """Compile the plan; the ECU sees nothing but reads."""
        state = self.state
        if not state.can_plan or state.busy:
            return
        job, link, profile = self._ecu
        if state.kind == "programming" and state.container is not None:
            flash = messages.PlanFlash(
                link=link, profile=profile, job=job, path=state.container.path
            )
            self._plan(lambda client: client.plan_flash(flash))
        elif state.kind == "coding":
            settings = [f"{row.setting}={row.chosen}" for row in state.options if row.chosen]
            code = messages.PlanCode(link=link, profile=profile, job=job, settings=settings)
            self._plan(lambda client: client.plan_code(code))
        elif state.kind == "restore":
            restore = messages.PlanRestore(
                link=link, profile=profile, job=job, backup=state.backup, what=state.restore_what
            )
            self._plan(lambda client: client.plan_restore(restore))

    # What comes back --------------------------------------------------------------------------

    def _fetched(self, profiles: messages.Profiles) -> None:
        writes = next(
            (one.writes for one in profiles.profiles if one.name == self._ecu[2]), list[str]()
        )
        self._change(can_code="code" in writes, can_flash="flash" in writes)

    def _inspected(self, reply: messages.ContainerView) -> None:
        container = container_of(reply)
        self._change(container=container, can_plan=container.usable)

    def _coding(self, view: messages.CodingView, identity: messages.Identity) -> None:
        current = {value.did: value.fields for value in identity.values}
        rows = tuple(
            _option(one, field, current.get(one.did, {}))
            for one in view.dids
            for field in one.fields
        )
        self._change(options=rows, can_code=view.writable)

    def _backups(self, reply: messages.Backups) -> None:
        job, _link, profile = self._ecu
        rows = [
            BackupChoice(
                backup=one.backup,
                made=one.made,
                objects=tuple(one.objects),
                of_this_job=one.job == job,
            )
            for one in reply.backups
            if one.profile == profile
        ]
        # The customer's own first; backups of other cars are refused by the plan, by ECU.
        self._change(backups=tuple(sorted(rows, key=lambda row: not row.of_this_job)))


def _chosen(row: OptionRow, value: str) -> OptionRow:
    return OptionRow(
        **{name: getattr(row, name) for name in OptionRow.__struct_fields__}
        | {"chosen": "" if value == row.current else value}
    )


def _option(
    did: messages.CodingDid, field: messages.CodingField, current: dict[str, str]
) -> OptionRow:
    return OptionRow(
        setting=field.setting,
        group=did.label,
        label=field.label,
        current=current.get(field.name, ""),
        chosen="",
        values=tuple(option.value for option in field.options),
        labels=tuple(option.label for option in field.options),
        minimum=field.min,
        maximum=field.max,
        step=field.step,
        unit=field.unit,
    )


def container_of(view: messages.ContainerView) -> Container:
    """A file's facts as the screen shows them."""
    from_file = _facts(view)
    return Container(
        path=view.path,
        name=view.name,
        good=view.good,
        what=view.what or view.fit_what,
        next_step=view.next_step or view.fit_next_step,
        fits=view.fits,
        facts=tuple((label, text) for label, text in from_file if text),
        usable=view.good and view.fits is not False,
    )


def _facts(view: messages.ContainerView) -> list[tuple[str, str]]:
    checks = [
        f"{check.name}: {_('good') if check.good else check.found}" for check in view.checksums
    ]
    blocks = [f"0x{block.address:08X}, {words.size(block.size)}" for block in view.blocks]
    return [
        (_("Format"), view.format),
        (_("Part numbers"), ", ".join(view.part_numbers)),
        (_("Version"), view.version),
        *view.software.items(),
        (_("Size"), words.size(view.size)),
        (_("Written to"), ", ".join(view.regions)),
        (_("Blocks"), "; ".join(blocks)),
        (_("Checksums"), "; ".join(checks)),
        ("SHA-256", view.sha256),
    ]
