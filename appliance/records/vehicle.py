"""Whose car it is: customer, vehicle, and the rules of a VIN."""

from __future__ import annotations

from msgspec import Struct

from appliance.vin import form_problems, written
from hw.errors import UsageError


class Customer(Struct, frozen=True, forbid_unknown_fields=True):
    """Who brought the car."""

    name: str
    phone: str = ""
    email: str = ""


class Vehicle(Struct, frozen=True, forbid_unknown_fields=True):
    """The car, as far as it is known. `description` is free text (make, model, year).

    Build it with `vehicle` or `parse_vehicle`, which check the VIN.
    """

    description: str
    vin: str = ""
    plate: str = ""
    odometer_km: int | None = None

    @property
    def name(self) -> str:
        """One line for lists: description, plate and VIN, each once."""
        parts = (self.description, self.plate, self.vin)
        return ", ".join(
            part
            for index, part in enumerate(parts)
            if part and not any(part in p for p in parts[:index])
        )


def checked_vin(text: str) -> str:
    """A VIN in its written form: capital letters, no blanks or dashes (ISO 3779, 5).

    Raises:
        UsageError: it has not 17 characters, or one that a VIN cannot have (I, O, Q among them).
    """
    vin = written(text)
    if problems := form_problems(vin):
        raise UsageError(
            f"'{text}' is no VIN. {problems[0]}",
            "Read it off the car again; 1 and 0 are easily taken for I and O.",
        )
    return vin


def vehicle(
    description: str, vin: str = "", plate: str = "", odometer_km: int | None = None
) -> Vehicle:
    """A vehicle with its VIN checked.

    Raises:
        UsageError: the VIN is not one, or nothing at all is known of the car.
    """
    if not any((description.strip(), vin.strip(), plate.strip())):
        raise UsageError("The vehicle is not named.", "Give its make and model, plate or VIN.")
    return Vehicle(
        description.strip(), checked_vin(vin) if vin.strip() else "", plate.strip(), odometer_km
    )


def parse_vehicle(text: str) -> Vehicle:
    """A vehicle from one line of free text; a word of 17 letters and digits is taken for its VIN.

    Raises:
        UsageError: as `vehicle`; a word of that length that is no VIN is refused, not kept.
    """
    words = [word.strip(",;()") for word in text.split()]
    vin = next((word for word in words if len(word) == 17 and word.isalnum()), "")
    return vehicle(text, vin)


def described(text: str, *words: str | int | None) -> str:
    """A description from free text and the make, model and year that it does not say already."""
    parts = [text.strip()]
    for word in words:
        shown = str(word or "").strip()
        if shown and shown.casefold() not in " ".join(parts).casefold().split():
            parts.append(shown)
    return " ".join(part for part in parts if part)
