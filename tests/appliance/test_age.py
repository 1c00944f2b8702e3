"""age files: what opens, and what is told to be damaged."""

from __future__ import annotations

import os

import pytest

from appliance.age import (
    DecryptionError,
    decrypt,
    decrypts_to,
    encrypt,
    new_identity,
    parse_identity,
    parse_recipient,
)

SIZES = [0, 1, (64 << 10) - 1, 64 << 10, (64 << 10) + 1, 300_000]
"""age authenticates 64 KiB at a time."""


@pytest.mark.parametrize("size", SIZES)
def test_only_the_very_plaintext_is_what_a_file_decrypts_to(size: int) -> None:
    secret, recipient = new_identity()
    identity = parse_identity(secret)
    plain = os.urandom(size)
    sealed = encrypt(plain, [parse_recipient(recipient, "kit")])
    assert decrypt(sealed, identity) == plain
    assert decrypts_to(sealed, identity, plain)
    assert not decrypts_to(sealed, identity, plain + b"0")
    if plain:
        assert not decrypts_to(sealed, identity, plain[:-1])
        assert not decrypts_to(sealed, identity, plain[:-1] + bytes([plain[-1] ^ 1]))
        assert not decrypts_to(sealed, identity, bytes([plain[0] ^ 1]) + plain[1:])


@pytest.mark.parametrize("size", SIZES)
def test_a_damaged_or_foreign_file_decrypts_to_nothing(size: int) -> None:
    secret, recipient = new_identity()
    identity, stranger = parse_identity(secret), parse_identity(new_identity()[0])
    plain = os.urandom(size)
    sealed = encrypt(plain, [parse_recipient(recipient, "kit")])
    for damaged in (sealed[:-1], sealed[:-1] + bytes([sealed[-1] ^ 1]), sealed + b"0", b""):
        with pytest.raises(DecryptionError, match="cannot be opened"):
            decrypts_to(damaged, identity, plain)
        with pytest.raises(DecryptionError, match="cannot be opened"):
            decrypt(damaged, identity)
    with pytest.raises(DecryptionError, match="No matching keys"):
        decrypts_to(sealed, stranger, plain)
