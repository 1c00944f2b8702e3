"""What leaves the kit in a text: no secret, no customer, and still the reason of a failure."""

from __future__ import annotations

import json

import pytest

from appliance.diagnostics.mask import HIDDEN, Mask
from appliance.sync.enrolcode import enrol_code

VIN = "WVWZZZ1JZ3W386752"
KEY = (
    "-----BEGIN OPENSSH PRIVATE KEY-----\n"
    "b3BlbnNzaC1rZXktdjEAAAAABG5vbmUAAAAEbm9uZQ\n"
    "-----END OPENSSH PRIVATE KEY-----"
)


ENROL = enrol_code("hub.local", 8443, "YS13b3JkLWZvci1vbmNlLW9ubHk=", "ab" * 32)


@pytest.mark.parametrize(
    ("text", "secret"),
    [
        ("passphrase: correct horse battery staple", "horse"),
        ("the passphrase is correct horse battery staple\nnext", "staple"),
        ('{"passphrase": "correct \\"horse\\" battery", "state": 1}', "battery"),
        ("FIELDKIT_PASSPHRASE='correct horse'", "horse"),
        ("Password=hunter2", "hunter2"),
        ("api_key: 0123456789abcdef", "0123456789abcdef"),
        ("Authorization: Bearer abc.def-ghi", "abc.def"),
        ("sent bearer abcdef012345 to it", "abcdef012345"),
        ("wifi psk=house1234", "house1234"),
        ("token = t0k3n", "t0k3n"),
        (f"sync enrol {ENROL}", ENROL.split("-")[12]),
        (f"sync enrol {ENROL.lower()}", ENROL.lower().split("-")[12]),
        ("database_key=00ff00ff", "00ff00ff"),
        ("age identity AGE-SECRET-KEY-1QQPZRY9X8GF2TVDW0S3JN54KHCE6MUA7L", "QQPZRY"),
        (f"before {KEY} after", "b3BlbnNz"),
        (KEY[:60], "b3BlbnNz"),
        ("doip+tls://maria:hunter2@192.168.0.10:13400", "hunter2"),
        ("mail jan.de-villiers@example.co.za now", "villiers"),
        (f"VIN {VIN} read", VIN[3:]),
        (f"0xF190 -> 62f190{VIN.encode().hex()}", VIN.encode().hex()),
        (f"got {VIN.encode().hex(' ')}", VIN.encode().hex(" ")),
        (f"({VIN.lower()})", VIN[3:].lower()),
    ],
)
def test_what_has_a_form_is_taken_out_wherever_it_stands(text: str, secret: str) -> None:
    masked = Mask().text(text)
    assert secret not in masked
    assert HIDDEN in masked


@pytest.mark.parametrize(
    "text",
    [
        "Run 01a21b3f-aba4-76d4-af27-22f1be36981e: 0x7F 0x34 0x31 at block 57, 229376 of 524288.",
        "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
        "can://socketcan/can0?bitrate=500000&tx=0x7E0&rx=0x7E8",
        "2026-11-27T14:05:11.123456+00:00 fieldkit-hw[412]: the gate is HELD: 11.62 V",
        'File "/opt/fieldkit/hw/executor.py", line 340, in _defect',
    ],
)
def test_what_tells_of_the_failure_stays(text: str) -> None:
    assert Mask().text(text) == text


@pytest.mark.parametrize(
    ("known", "text", "left"),
    [
        ("Jan de Villiers", "job of JAN DE VILLIERS refused", "job of [hidden] refused"),
        ("Jan de Villiers", "Mr Villiers waits", "Mr [hidden] waits"),
        ("Müller & Söhne", "for 'Müller & Söhne', again", "for '[hidden]', again"),
        ("CA 123-456", "plate CA-123-456.", "plate [hidden]."),
        ("+27 82 555 0199", "call +27-82-555-0199", "call +[hidden]"),
        ("Stalls when hot", "noted: stalls when hot!", "noted: [hidden]!"),
        ("Jan de Villiers", "January, devil, Jan", "January, devil, Jan"),
        ("x", "x marks nothing", "x marks nothing"),
    ],
)
def test_what_the_records_know_is_taken_out(known: str, text: str, left: str) -> None:
    assert Mask(names=[known]).text(text) == left.replace("[hidden]", HIDDEN)


def test_the_longest_of_several_known_texts_is_taken_out() -> None:
    assert Mask(known=["Polo", "Polo Vivo", "Vivo 1.4"]).text("a Polo Vivo 1.4") == (
        f"a {HIDDEN} 1.4"
    )


def test_names_of_fields_stay_and_every_value_below_them_is_masked() -> None:
    mask = Mask(names=["State Bank"])
    value = {"state": ["verified", {"bank": "of State Bank"}], "count": 3, "none": None}
    assert mask.value(value) == {
        "state": ["verified", {"bank": f"of {HIDDEN}"}],
        "count": 3,
        "none": None,
    }
    assert json.dumps(mask.value(value))
