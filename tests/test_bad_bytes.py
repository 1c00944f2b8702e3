"""Bytes that are no text at all are told like any other damage, wherever they are read.

msgspec raises UnicodeDecodeError for them, which is none of its own errors: found by the campaign
(seed 2, run 249), where one flipped bit of a plan was answered with a defect.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from appliance.backups.contents import identity_of, pack_coding, regions_of
from appliance.identity.seal import Slot, read_keys_file
from appliance.identity.tries import failed_tries
from appliance.service.plans import decode_checks
from hw.config import load_config
from hw.errors import FieldKitError
from hw.plan import decode_plan
from hw.sshsig import AllowedSigners, sign
from hw.statements import NAMESPACE_CHECKS, ChecksStatement
from hw.trust import read_statement
from tests.kit import Keys, Kit

NO_TEXT = b'{"format": "\xf3("}'


def _in_file(name: str, read: Callable[[Path], object]) -> Callable[[Path], object]:
    def action(folder: Path) -> object:
        path = folder / name
        path.write_bytes(NO_TEXT)
        return read(path)

    return action


def _signed(folder: Path) -> object:
    kit = Kit(folder, "ina219+sim:///none")
    keys: Keys = kit.keys
    signers = AllowedSigners.load(kit.state / "trust" / "allowed_signers")
    signature = sign(NO_TEXT, keys.kit, NAMESPACE_CHECKS)
    return read_statement(NO_TEXT, signature, ChecksStatement, NAMESPACE_CHECKS, signers)


@pytest.mark.parametrize(
    "read",
    [
        lambda _folder: decode_plan(NO_TEXT),
        lambda _folder: decode_checks(b'{"container": "\xf3("}'),
        lambda _folder: pack_coding(NO_TEXT, []),
        lambda _folder: regions_of({"regions.json": b'[{"name": "\xf3("}]'}),
        lambda _folder: identity_of({"identity.json": b'[{"did": 1, "value": "\xf3("}]'}),
        _in_file("kit.toml", lambda path: load_config(path.parent)),
        _in_file("slot.json", lambda path: read_keys_file(path, Slot)),
        _signed,
    ],
    ids=["plan", "checks", "coding", "regions", "identity", "config", "slot", "statement"],
)
def test_bytes_that_are_no_text_are_damage_and_not_a_defect(
    tmp_path: Path, read: Callable[[Path], object]
) -> None:
    with pytest.raises(FieldKitError) as told:
        read(tmp_path)
    assert told.value.next_step


def test_a_list_of_tries_that_is_no_text_lets_nobody_try(tmp_path: Path) -> None:
    (tmp_path / "keys").mkdir()
    (tmp_path / "keys" / "tries.json").write_bytes(NO_TEXT)
    with pytest.raises(FieldKitError, match="damaged"):
        failed_tries(tmp_path)
