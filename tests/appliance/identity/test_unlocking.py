"""Passphrases: who gets in, how wrong tries are slowed down, and who may change what."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import unicodedata
from collections.abc import Callable
from pathlib import Path

import pytest

from appliance.errors import NotPermittedError, PassphraseError, TooManyTriesError
from appliance.identity import (
    add_technician,
    change_passphrase,
    failed_tries,
    forget_failed_tries,
    list_technicians,
    renew_trust,
    sign_acknowledgment,
    tries,
    unlock,
)
from appliance.identity.tries import FREE_TRIES, MAX_DELAY_S, delay_s, waits_s
from hw import clock
from hw.errors import BadInputError, UnavailableError, UsageError
from hw.sshsig import AllowedSigners, verify

OWNER, OWNER_PASSPHRASE = "maria", "correct horse battery"
TECHNICIAN, TECHNICIAN_PASSPHRASE = "jürgen", "noch ein langer Satz"
WRONG = "not the passphrase"


@pytest.fixture
def at(monkeypatch: pytest.MonkeyPatch) -> Callable[[float, str], None]:
    """Sets the boot clock and the boot's id."""

    def set_clock(seconds: float, boot: str = "boot-1") -> None:
        monkeypatch.setattr(clock, "now", lambda: seconds)
        monkeypatch.setattr(clock, "boot_id", lambda: boot)

    return set_clock


def no_space(*_arguments: object) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def fail(state: Path, name: str = OWNER, times: int = 1) -> None:
    for _ in range(times):
        with pytest.raises(PassphraseError, match="do not fit"):
            unlock(state, name, WRONG)


def test_both_technicians_get_the_same_kit_and_their_own_key(pristine_kit: Path) -> None:
    first = unlock(pristine_kit, OWNER, OWNER_PASSPHRASE)
    second = unlock(pristine_kit, TECHNICIAN, TECHNICIAN_PASSPHRASE)
    assert (first.technician.role, second.technician.role) == ("owner", "technician")
    assert first.kit_key.private_bytes_raw() == second.kit_key.private_bytes_raw()
    assert first.database_key == second.database_key
    assert len(first.database_key) == 32
    assert str(first.kit_identity) == str(second.kit_identity)
    keys = {who.technician.signing_key.private_bytes_raw() for who in (first, second)}
    assert len(keys) == 2


def test_accents_match_however_the_keyboard_composed_them(pristine_kit: Path) -> None:
    unlocked = unlock(pristine_kit, unicodedata.normalize("NFD", TECHNICIAN), TECHNICIAN_PASSPHRASE)
    assert unlocked.technician.name == TECHNICIAN


def test_no_secret_shows_when_an_opened_kit_is_printed(pristine_kit: Path) -> None:
    unlocked = unlock(pristine_kit, OWNER, OWNER_PASSPHRASE)
    text = repr(unlocked)
    assert "AGE-SECRET" not in text
    assert repr(unlocked.database_key)[2:10] not in text
    assert "key" not in text


def test_a_wrong_name_and_a_wrong_passphrase_are_told_apart_by_nothing(state: Path) -> None:
    said = []
    for name, passphrase in [
        (OWNER, WRONG),
        ("nobody", OWNER_PASSPHRASE),
        ("no body/../", OWNER_PASSPHRASE),
        (TECHNICIAN, ""),
        (TECHNICIAN, "\ud800"),
    ]:
        with pytest.raises(PassphraseError) as caught:
            unlock(state, name, passphrase)
        said.append((type(caught.value), caught.value.what, caught.value.next_step))
    assert len(set(said)) == 1


def test_delays_grow_and_end() -> None:
    delays = [delay_s(failures) for failures in range(100)]
    assert delays[:FREE_TRIES] == [0] * FREE_TRIES
    assert delays[FREE_TRIES : FREE_TRIES + 4] == [2, 4, 8, 16]
    assert delays == sorted(delays)
    assert delays[-1] == MAX_DELAY_S


def test_too_fast_a_try_is_not_looked_at_even_when_it_is_right(
    state: Path, at: Callable[..., None]
) -> None:
    at(1000.0)
    fail(state, times=FREE_TRIES)
    with pytest.raises(TooManyTriesError) as caught:
        unlock(state, OWNER, OWNER_PASSPHRASE)
    assert caught.value.wait_s == 2
    assert "2 s" in caught.value.next_step
    assert len(failed_tries(state)) == FREE_TRIES, "what was not looked at is not a wrong try"
    at(1001.9)
    with pytest.raises(TooManyTriesError):
        unlock(state, OWNER, OWNER_PASSPHRASE)
    at(1002.0)
    assert unlock(state, OWNER, OWNER_PASSPHRASE).technician.name == OWNER


def test_how_long_to_wait_can_be_asked_without_a_try(state: Path, at: Callable[..., None]) -> None:
    assert waits_s(state) == {}
    at(1000.0)
    fail(state, times=FREE_TRIES)
    assert waits_s(state) == {OWNER: 2}
    at(1000.5)
    assert waits_s(state) == {OWNER: 2}
    at(1002.0)
    assert waits_s(state) == {}
    assert len(failed_tries(state)) == FREE_TRIES, "asking is no try"


def test_names_that_nobody_has_make_nobody_wait(state: Path, at: Callable[..., None]) -> None:
    at(1000.0)
    for name in ("eve", "mallory", "trudy", "oscar"):
        with pytest.raises(PassphraseError):
            unlock(state, name, OWNER_PASSPHRASE)
    assert waits_s(state) == {}


def test_the_delay_outlives_a_restart_and_a_reboot(state: Path, at: Callable[..., None]) -> None:
    at(1000.0)
    fail(state, times=FREE_TRIES)
    at(1002.0)
    fail(state)
    # After the reboot only the boot's own age is known to have passed.
    at(3.0, "boot-2")
    with pytest.raises(TooManyTriesError) as caught:
        unlock(state, OWNER, OWNER_PASSPHRASE)
    assert caught.value.wait_s == 1
    at(4.0, "boot-2")
    unlock(state, OWNER, OWNER_PASSPHRASE)


def test_a_right_try_ends_only_ones_own_count(state: Path, at: Callable[..., None]) -> None:
    at(1000.0)
    fail(state, times=FREE_TRIES)
    unlock(state, TECHNICIAN, TECHNICIAN_PASSPHRASE)
    with pytest.raises(TooManyTriesError):
        unlock(state, OWNER, OWNER_PASSPHRASE)
    at(2000.0)
    unlock(state, OWNER, OWNER_PASSPHRASE)
    fail(state, times=FREE_TRIES)  # counted from the start again: none of these had to wait


def test_inventing_names_gives_no_free_tries(state: Path, at: Callable[..., None]) -> None:
    at(1000.0)
    for number in range(FREE_TRIES):
        fail(state, f"nobody{number}")
    with pytest.raises(TooManyTriesError):
        unlock(state, "somebody-else", WRONG)


def test_a_try_is_counted_before_it_is_looked_at(
    state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def power_goes(*_arguments: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("appliance.identity.unlocking.open_slot", power_goes)
    with pytest.raises(KeyboardInterrupt):
        unlock(state, OWNER, WRONG)
    assert [item.technician for item in failed_tries(state)] == [OWNER]


def test_wrong_tries_wait_for_the_record_and_names_typed_wrongly_are_not_kept(
    state: Path,
) -> None:
    fail(state)
    fail(state, OWNER_PASSPHRASE.replace(" ", "-"))
    unlock(state, OWNER, OWNER_PASSPHRASE)
    waiting = failed_tries(state)
    assert [(item.number, item.technician) for item in waiting] == [(1, OWNER), (2, "")]
    forget_failed_tries(state, up_to=1)
    assert [item.number for item in failed_tries(state)] == [2]
    fail(state)
    assert [item.number for item in failed_tries(state)] == [2, 3]
    assert OWNER_PASSPHRASE.replace(" ", "-") not in (state / "keys/tries.json").read_text()


def test_a_damaged_count_gives_no_free_tries(state: Path) -> None:
    (state / "keys" / "tries.json").write_text("{}x")
    with pytest.raises(UnavailableError, match="damaged"):
        unlock(state, OWNER, OWNER_PASSPHRASE)


def test_two_tries_at_once_are_not_both_looked_at(state: Path) -> None:
    descriptor = os.open(state / "keys", os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        with pytest.raises(UnavailableError, match="right now"):
            unlock(state, OWNER, OWNER_PASSPHRASE)
    finally:
        os.close(descriptor)
    unlock(state, OWNER, OWNER_PASSPHRASE)


def test_without_a_kit_the_next_step_is_named(tmp_path: Path) -> None:
    with pytest.raises(UnavailableError, match="fieldkit init"):
        unlock(tmp_path, OWNER, OWNER_PASSPHRASE)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("role", "owner"),
        ("technician", OWNER),
        ("salt", "AAAAAAAAAAAAAAAAAAAAAA=="),
        ("salt", "A"),
        ("kdf", {"name": "argon2id", "memory_kib": 8192, "passes": 1, "lanes": 1}),
    ],
)
def test_a_changed_slot_does_not_open(state: Path, field: str, value: object) -> None:
    path = state / "keys" / "technicians" / f"{TECHNICIAN}.json"
    slot = json.loads(path.read_text())
    assert slot[field] != value
    path.write_text(json.dumps(slot | {field: value}))
    with pytest.raises(PassphraseError):
        unlock(state, TECHNICIAN, TECHNICIAN_PASSPHRASE)


def test_a_slot_that_would_take_all_memory_is_refused_unread(state: Path) -> None:
    path = state / "keys" / "technicians" / f"{TECHNICIAN}.json"
    slot = json.loads(path.read_text())
    slot["kdf"]["memory_kib"] = 2**31
    path.write_text(json.dumps(slot))
    with pytest.raises(BadInputError, match="damaged"):
        unlock(state, TECHNICIAN, TECHNICIAN_PASSPHRASE)


def test_every_damaged_box_of_the_kits_secrets_is_found(state: Path) -> None:
    path = state / "keys" / "secrets.json"
    good = json.loads(path.read_text())
    names = list(good["secrets"])
    assert len(names) == 4
    swapped = dict(good["secrets"])
    swapped[names[0]], swapped[names[2]] = swapped[names[2]], swapped[names[0]]
    missing = {name: good["secrets"][name] for name in names[1:]}
    for bad in (swapped, missing):
        path.write_text(json.dumps(good | {"secrets": bad}))
        with pytest.raises(BadInputError, match="passphrase was right"):
            unlock(state, OWNER, OWNER_PASSPHRASE)


def test_an_owner_adds_a_technician_whose_acknowledgment_counts(state: Path) -> None:
    add_technician(unlock(state, OWNER, OWNER_PASSPHRASE), "lea", "technician", "brand new words")
    lea = unlock(state, "lea", "brand new words")
    made = sign_acknowledgment(lea, "0" * 64, "1" * 64)
    signers = AllowedSigners.load(state / "trust" / "allowed_signers")
    principal = verify(made.document, made.signature, "fieldkit-acknowledgment", signers)
    assert principal == "technician:lea"
    assert ("lea", "technician") in list_technicians(state)


def test_only_an_owner_adds_technicians_and_never_over_another(state: Path) -> None:
    technician = unlock(state, TECHNICIAN, TECHNICIAN_PASSPHRASE)
    with pytest.raises(NotPermittedError, match="Only an owner"):
        add_technician(technician, "lea", "owner", "brand new words")
    owner = unlock(state, OWNER, OWNER_PASSPHRASE)
    with pytest.raises(UsageError, match="already"):
        add_technician(owner, TECHNICIAN, "technician", "brand new words")
    with pytest.raises(BadInputError, match="shorter"):
        add_technician(owner, "lea", "technician", "short")
    assert len(list_technicians(state)) == 2


def test_a_changed_passphrase_keeps_the_signing_key(state: Path) -> None:
    before = unlock(state, TECHNICIAN, TECHNICIAN_PASSPHRASE).technician.signing_key
    change_passphrase(state, TECHNICIAN, TECHNICIAN_PASSPHRASE, "ganz neue Worte")
    with pytest.raises(PassphraseError):
        unlock(state, TECHNICIAN, TECHNICIAN_PASSPHRASE)
    after = unlock(state, TECHNICIAN, "ganz neue Worte").technician
    assert after.signing_key.private_bytes_raw() == before.private_bytes_raw()
    assert after.role == "technician"
    with pytest.raises(PassphraseError):
        change_passphrase(state, TECHNICIAN, WRONG, "noch ein anderer")
    with pytest.raises(BadInputError, match="shorter"):
        change_passphrase(state, TECHNICIAN, "ganz neue Worte", "kurz")


def test_a_try_that_cannot_be_counted_is_not_looked_at(
    state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tries, "write_durably", no_space)
    with pytest.raises(UnavailableError, match="No space left on device") as caught:
        unlock(state, OWNER, OWNER_PASSPHRASE)
    assert "Free space" in caught.value.next_step
    monkeypatch.undo()
    assert unlock(state, OWNER, OWNER_PASSPHRASE).technician.name == OWNER


def _lines(state: Path) -> list[str]:
    return (state / "trust" / "allowed_signers").read_text().splitlines(keepends=True)


def _set_back(state: Path) -> list[str]:
    """The list of trust as a kit of an older version has it."""
    older = [line.replace(",fieldkit-agreement", "") for line in _lines(state)]
    assert older != _lines(state)
    (state / "trust" / "allowed_signers").write_text("".join(older))
    return older


def test_who_opens_an_older_kit_may_witness_agreements_from_then_on(state: Path) -> None:
    new, older = _lines(state), _set_back(state)
    renew_trust(unlock(state, OWNER, OWNER_PASSPHRASE))
    changed = [line for line, before in zip(_lines(state), older, strict=True) if line != before]
    assert [line.split()[0] for line in changed] == [f"technician:{OWNER}"]
    renew_trust(unlock(state, TECHNICIAN, TECHNICIAN_PASSPHRASE))
    assert _lines(state) == new
    renew_trust(unlock(state, OWNER, OWNER_PASSPHRASE))
    assert _lines(state) == new


def test_who_was_taken_off_the_list_stays_off_it(state: Path) -> None:
    kept = [line for line in _set_back(state) if not line.startswith(f"technician:{OWNER} ")]
    (state / "trust" / "allowed_signers").write_text("".join(kept))
    renew_trust(unlock(state, OWNER, OWNER_PASSPHRASE))
    assert _lines(state) == kept


def test_a_list_of_trust_that_cannot_be_read_is_told(state: Path) -> None:
    unlocked = unlock(state, OWNER, OWNER_PASSPHRASE)
    (state / "trust" / "allowed_signers").write_bytes(b"\xff")
    with pytest.raises(BadInputError, match="allowed signers"):
        renew_trust(unlocked)
