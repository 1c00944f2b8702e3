"""Work orders: what the office booked, and the packing slip's code, scanned or typed."""

from __future__ import annotations

from typing import Any

from ui.i18n import _
from ui.models.orders import OrdersState
from ui.screens.page import Rows
from ui.screens.sheet import Pairs, Sheet
from ui.widgets import marks
from ui.widgets.scanner import Scanner


class OrdersPage(Sheet):
    """Bound to `OrdersModel`. `view` is the reference of the order that is looked at."""

    def __init__(self, model: Any, navigation: Any, edit: Any, **options: object) -> None:
        super().__init__(model, navigation, edit, columns=1, **options)
        self._scanner = Scanner(model.scanning, model.take)

    def close(self) -> None:
        """The screen is left: the scanner is another one's."""
        self._scanner.close()
        super().close()

    def title(self, state: OrdersState, view: str) -> str:
        """All, or the one that is looked at."""
        del state
        return view or _("Work orders")

    def hint(self, state: OrdersState, view: str) -> str:
        """What is being scanned; else how an order is opened."""
        if state.scanned:
            return f"{marks.BUSY} {state.scanned}"
        if view or state.busy or state.what:
            return ""
        if state.fetched and not state.orders:
            return _("The office has booked nothing for this kit.")
        return _("Scan the packing slip, or choose an order.")

    def rows(self, state: OrdersState, view: str) -> Rows:
        """All orders."""
        del view
        return [
            {
                "key": one.reference,
                "title": " · ".join(filter(None, (one.appointment, one.customer))),
                "detail": " · ".join(filter(None, (one.reference, one.vehicle or one.vin))),
                "mark": marks.BUSY if one.job else marks.WAITING,
                "word": one.state_word,
            }
            for one in state.orders
        ]

    def pairs(self, state: OrdersState, view: str) -> Pairs:
        """What the office knows of an order."""
        found = [one for one in state.orders if one.reference == view]
        return [
            (name, text)
            for one in found
            for name, text in (
                (_("State"), one.state_word),
                (_("Appointment"), one.appointment),
                (_("Customer"), one.customer),
                (_("Phone"), one.phone),
                (_("Address"), one.address),
                (_("Vehicle"), one.vehicle),
                (_("VIN"), one.vin),
                (_("Complaint"), one.complaint),
                (_("Photos"), _("{n} at the workshop").format(n=one.photos) if one.photos else ""),
            )
            if text
        ]

    def action(self, state: OrdersState, view: str) -> str:
        """Open the job of the one that is looked at; else type a reference."""
        if state.busy:
            return ""
        if not view:
            return _("Type reference")
        opened = any(one.job for one in state.orders if one.reference == view)
        return _("Go on with the job") if opened else _("Open the job")

    def choose(self, key: str | int) -> None:
        """Look at an order."""
        self.view = str(key)

    def act(self) -> None:
        """Open the job, or ask for a reference."""
        if self.view:
            self.model.take(self.view)
        else:
            self.edit(_("Reference"), "W-", self.model.take)
