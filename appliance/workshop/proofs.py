"""What a person shows to log in: a password, and a code that a phone makes (RFC 6238)."""

from __future__ import annotations

import base64
import hmac
import secrets
import unicodedata

from cryptography.exceptions import InvalidKey
from cryptography.hazmat.primitives.hashes import SHA1
from cryptography.hazmat.primitives.kdf.argon2 import Argon2id
from cryptography.hazmat.primitives.twofactor.totp import TOTP

from hw.errors import UsageError

SHORTEST, LONGEST = 12, 200
STEP_S, DIGITS = 30, 6
_TOTP_BYTES, _SALT_BYTES, _HASH_BYTES = 20, 16, 32
_MEMORY_KIB, _ITERATIONS = 19_456, 2
"""What OWASP's cheat sheet for passwords asks of Argon2id at the least."""


def hashed(password: str) -> str:
    """A password as it is kept: Argon2id in PHC form.

    Raises:
        UsageError: it is too short or too long.
    """
    if not SHORTEST <= len(password) <= LONGEST:
        raise UsageError(
            f"A password has {SHORTEST} to {LONGEST} letters.", "Take a sentence, or four words."
        )
    kdf = Argon2id(
        salt=secrets.token_bytes(_SALT_BYTES),
        length=_HASH_BYTES,
        iterations=_ITERATIONS,
        lanes=1,
        memory_cost=_MEMORY_KIB,
    )
    return kdf.derive_phc_encoded(_plain(password))


def fits(password: str, kept: str) -> bool:
    """Whether it is the password; takes as long where none is kept."""
    try:
        Argon2id.verify_phc_encoded(_plain(password[:LONGEST]), kept or _NOBODY)
    except InvalidKey:
        return False
    return bool(kept)


def new_totp_secret() -> str:
    """A secret for codes, in base32 as phones want it."""
    return base64.b32encode(secrets.token_bytes(_TOTP_BYTES)).decode()


def totp_uri(secret: str, name: str) -> str:
    """What a phone scans."""
    return _totp(secret).get_provisioning_uri(name, "fieldkit workshop")


def totp_code(secret: str, at: float) -> str:
    """The code of a moment, in seconds since 1970."""
    return _totp(secret).generate(at).decode()


def totp_step(secret: str, code: str, at: float) -> int:
    """The step of time that a code belongs to, 0 where it is none of now.

    A phone's clock may be one step off (RFC 6238, 5.2). Who takes a code keeps its step, so that
    none is taken twice.
    """
    given = "".join(code.split())
    if len(given) != DIGITS or not given.isascii():
        return 0
    step = int(at) // STEP_S
    for one in (step, step - 1, step + 1):
        if hmac.compare_digest(totp_code(secret, one * STEP_S), given):
            return one
    return 0


def _totp(secret: str) -> TOTP:
    # SHA-1 is what every phone's program computes; RFC 6238 stands on its HMAC, which is sound.
    return TOTP(base64.b32decode(secret), DIGITS, SHA1(), STEP_S)  # noqa: S303 - see above


def _plain(password: str) -> bytes:
    return unicodedata.normalize("NFKC", password).encode()


_NOBODY = hashed(secrets.token_urlsafe(_HASH_BYTES))
"""The password of nobody, so that an unknown name takes as long as a known one."""
