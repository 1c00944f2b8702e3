"""A new job: customer, car and complaint, with help for the VIN."""

from __future__ import annotations

from typing import Literal

from appliance.client import Client, FieldKitError, examine_vin, messages
from ui.i18n import _
from ui.models.shared import Asking, AskingState, Shared

Field = Literal["customer", "phone", "vin", "plate", "vehicle", "complaint"]


class NewJobState(AskingState, frozen=True, kw_only=True):
    """Attributes:
    customer, phone, vin, plate, vehicle, complaint: as they were typed.
    vin_good: the VIN has the form of one; None while nothing is typed.
    vin_length: characters of it so far, of 17.
    vin_problems: what is wrong with its form, a sentence each.
    vin_note: what the check digit says.
    vin_check: `matches`, `does_not_match`, `not_used` or `unknown`.
    vin_suggestion: the VIN that was probably meant, empty for none.
    vin_from_car: it was read from an ECU and not typed.
    can_save: all that a job needs is there.
    """

    customer: str = ""
    phone: str = ""
    vin: str = ""
    plate: str = ""
    vehicle: str = ""
    complaint: str = ""
    vin_good: bool | None = None
    vin_length: int = 0
    vin_problems: tuple[str, ...] = ()
    vin_note: str = ""
    vin_check: str = "unknown"
    vin_suggestion: str = ""
    vin_from_car: bool = False
    can_save: bool = False


class NewJobModel(Asking[NewJobState]):
    """Takes in what a job needs and opens it."""

    def __init__(self, shared: Shared) -> None:
        super().__init__(NewJobState(), shared)

    def open(self) -> None:
        """The screen is shown: an empty form."""
        self._forget()
        empty = NewJobState()
        self._change(**{name: getattr(empty, name) for name in NewJobState.__struct_fields__})

    def enter(self, field: Field, text: str) -> None:
        """Somebody typed into a field."""
        self._change(**{field: text}, what="", next_step="")
        if field == "vin":
            self._examine(from_car=False)
        self._judge()

    def take_suggestion(self) -> None:
        """Take the VIN that was probably meant."""
        if self.state.vin_suggestion:
            self.enter("vin", self.state.vin_suggestion)

    def read_vin(self, link: str = "", profile: str = "") -> None:
        """Read the VIN from the car.

        Args:
            link, profile: an ECU to ask; without them the car is searched for one that announces
                itself on the kit's own links (ISO 13400-2).
        """

        def read(client: Client) -> str:
            if profile:
                values = client.identify(link, profile).values
                return next((value.text for value in values if value.name == "vin"), "")
            return _announced_vin(client)

        self._ask(read, self._read)

    def save(self) -> None:
        """Open the job."""
        state = self.state
        if not state.can_save or state.busy:
            return
        request = messages.JobNew(
            customer=state.customer.strip(),
            vehicle=state.vehicle.strip(),
            complaint=state.complaint.strip(),
            phone=state.phone.strip(),
            vin=state.vin if state.vin_good else "",
            plate=state.plate.strip(),
        )
        self._ask(lambda client: client.job_open(request), self._saved)

    def _read(self, vin: str) -> None:
        if not vin:
            self._change(
                what=_("The car did not tell its VIN."),
                next_step=_("Switch the ignition on and try again, or type it in."),
            )
            return
        self._change(vin=vin)
        self._examine(from_car=True)
        self._judge()

    def _examine(self, *, from_car: bool) -> None:
        typed = self.state.vin
        report = examine_vin(typed)
        self._change(
            vin=report.vin,
            vin_good=report.good if report.vin else None,
            vin_length=len(report.vin),
            vin_problems=tuple(report.problems) if report.vin else (),
            vin_note=report.note,
            vin_check=report.check_digit,
            vin_suggestion=report.suggestion,
            vin_from_car=from_car,
        )

    def _judge(self) -> None:
        state = self.state
        car = bool(state.vehicle.strip() or state.plate.strip() or state.vin_good)
        self._change(can_save=bool(state.customer.strip()) and car and state.vin_good is not False)

    def _saved(self, job: messages.JobView) -> None:
        self._shared.desk.take(job)
        self._shared.navigation.go("vehicle")


def _announced_vin(client: Client) -> str:
    """The VIN of the car that announces itself on one of the kit's links; empty for none."""
    silent: FieldKitError | None = None
    for link in client.links().links:
        if not link.discovery:
            continue
        try:
            vins = {ecu.vin for ecu in client.discover(link.uri).ecus if ecu.vin}
        except FieldKitError as error:
            silent = error
            continue
        if len(vins) == 1:
            return vins.pop()
    if silent is not None:
        raise silent
    return ""
