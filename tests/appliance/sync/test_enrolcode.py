"""The code for enrolment survives scanners and people, and a wrong letter is found."""

from __future__ import annotations

import base64
import secrets

import pytest

from appliance.sync.enrolcode import EnrolWord, enrol_code, read_code
from appliance.workshop.hub import TOKEN_BYTES
from hw.errors import UsageError

AUTHORITY = "5f" * 32
TOKEN = base64.urlsafe_b64encode(bytes(range(TOKEN_BYTES))).decode()


@pytest.mark.parametrize("host", ["10.0.0.5", "workshop.example.org", "[fd00::1]"])
def test_a_code_says_what_was_put_into_it(host: str) -> None:
    token = secrets.token_urlsafe(TOKEN_BYTES)
    code = enrol_code(host, 8443, token, AUTHORITY)
    assert set(code) <= set("ABCDEFGHIJKLMNOPQRSTUVWXYZ234567-")
    word = EnrolWord(host=host, port=8443, token=token, authority=AUTHORITY)
    assert read_code(code) == word
    scanned = code.replace("-", "").lower()
    assert read_code(f" {scanned}\n") == word


def test_every_letter_that_is_wrong_or_missing_is_found() -> None:
    code = enrol_code("10.0.0.5", 8443, TOKEN, AUTHORITY)
    begins = code.index("-") + 1
    for at in range(begins, len(code)):
        if code[at] == "-":
            continue
        wrong = "A" if code[at] != "A" else "B"
        for mistyped in (code[:at] + wrong + code[at + 1 :], code[:at] + code[at + 1 :]):
            with pytest.raises(UsageError, match="is wrong, or missing"):
                read_code(mistyped)


@pytest.mark.parametrize("code", ["", "https://example.org/", "W-7K3F2", "FKENROL", "FKENROL-A"])
def test_what_is_no_code_is_told_so(code: str) -> None:
    with pytest.raises(UsageError, match=r"no code for enrolment|wrong, or missing"):
        read_code(code)
