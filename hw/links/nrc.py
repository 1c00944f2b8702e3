"""What a negative response code means and what the person at the car can do about it.

Names are udsoncan's (ISO 14229-1:2020, Annex A). The next steps are the kit's own.
"""

from __future__ import annotations

from hw.links.base import NegativeResponse

_NEXT_STEPS: dict[int, str] = {
    0x10: "Read the trouble codes; if they show no cause, switch the ignition off and on.",
    0x11: "The ECU does not know this service: check that the profile fits this ECU.",
    0x12: "The ECU does not know this sub-function: check that the profile fits this ECU.",
    0x13: "The request has the wrong length for this ECU: check that the profile fits this ECU.",
    0x14: "Ask for less at once.",
    0x21: "Wait until the ECU has finished what it is doing, then try again.",
    0x22: "Check what the ECU demands (ignition on, engine off, gear in neutral or park), then try "
    "again.",
    0x24: "A step was left out or came twice: begin the whole operation again.",
    0x25: "Another control unit behind this one does not answer: check its supply and wiring.",
    0x26: "A stored fault prevents it: read the trouble codes and repair the cause first.",
    0x31: "The ECU does not have this identifier, address or value: check that profile and file "
    "fit this ECU.",
    0x33: "The ECU is locked: unlock it with the security level that the profile names.",
    0x34: "The ECU demands authentication, which needs the manufacturer's certificate.",
    0x35: "The computed key is wrong: check the seed/key provider and its parameters in the "
    "profile. Do not try again blindly, the ECU locks up after a few wrong keys.",
    0x36: "Too many wrong keys: leave the ignition on until the ECU's lock-out time is over.",
    0x37: "The ECU's lock-out time is not over: leave the ignition on and try again later.",
    0x70: "The ECU accepts no transfer: check address, size and data format in the profile, and "
    "that the memory was erased.",
    0x71: "The ECU gave the transfer up: begin with the erase again.",
    0x72: "The ECU could not erase or program its memory: check the supply, then begin with the "
    "erase again.",
    0x73: "A block was lost or came twice: begin with the erase again.",
    0x7E: "Enter the session that the profile names for this first.",
    0x7F: "Enter the session that the profile names for this first.",
    0x81: "Engine speed is too high: switch the engine off.",
    0x83: "Switch the engine off, ignition on.",
    0x84: "Start the engine.",
    0x88: "The vehicle must stand still.",
    0x90: "Put the selector lever in park.",
    0x92: "The supply voltage is too high for the ECU: lower the charger's voltage.",
    0x93: "The supply voltage is too low for the ECU: connect a charger.",
    0x94: "Wait a moment, then try again.",
}

_OTHERWISE = "Read the trouble codes and check the profile; the record holds the ECU's answer."


def negative_response(service: int, nrc: int) -> NegativeResponse:
    """Make the error for an answer `7F service nrc`."""
    # Loaded here because it takes longer to import than the whole of hw.links, and most
    # conversations never need it.
    from udsoncan.ResponseCode import ResponseCode  # noqa: PLC0415

    name = ResponseCode.get_name(nrc) or "not in ISO 14229-1"
    return NegativeResponse(
        service,
        nrc,
        f"The ECU refused service 0x{service:02X} with code 0x{nrc:02X} ({name}).",
        _NEXT_STEPS.get(nrc, _OTHERWISE),
    )
