"""Seed/key providers for SecurityAccess, by name.

Built in: `constant-xor` (the simulated car), `vw-sa2` (VW's SA2 script language, run by the package
sa2-seed-key), `aes-128-cmac` (NIST SP 800-38B over the seed). A third party adds one by an entry
point in the group `fieldkit.seed_key`: a callable `(level, seed, params) -> key`.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib.metadata import entry_points

from hw.errors import BadInputError, FieldKitError, UsageError

Provider = Callable[[int, bytes, dict[str, str]], bytes]
ENTRY_POINTS = "fieldkit.seed_key"


def key_for(provider: str, level: int, seed: bytes, params: dict[str, str]) -> bytes:
    """The key for a seed.

    Args:
        provider: name of the provider, as the profile gives it.
        level: the requestSeed sub-function (odd).
        seed: the ECU's seed; the caller has seen that it is not all zeros (already unlocked).
        params: what the profile gives the provider.

    Raises:
        UsageError: there is no such provider.
        BadInputError: the parameters or the seed do not fit the provider, or it failed.
    """
    found = _BUILT_IN.get(provider) or _third_party(provider)
    try:
        return found(level, seed, params)
    except FieldKitError:
        raise
    except Exception as error:  # a third party's code may raise anything
        raise BadInputError(
            f"The seed/key provider {provider!r} failed: {error}.",
            "Check the provider's parameters in the profile.",
        ) from error


def _third_party(name: str) -> Provider:
    for entry in entry_points(group=ENTRY_POINTS, name=name):
        provider: Provider = entry.load()
        return provider
    others = sorted(entry.name for entry in entry_points(group=ENTRY_POINTS))
    raise UsageError(
        f"There is no seed/key provider {name!r}.",
        f"Install it, or use one of: {', '.join([*_BUILT_IN, *others])}.",
    )


def _constant_xor(_level: int, seed: bytes, params: dict[str, str]) -> bytes:
    key = _hex(params, "key", len(seed))
    return bytes(a ^ b for a, b in zip(seed, key, strict=True))


def _aes_128_cmac(_level: int, seed: bytes, params: dict[str, str]) -> bytes:
    from cryptography.hazmat.primitives.ciphers.algorithms import AES  # noqa: PLC0415 - slow
    from cryptography.hazmat.primitives.cmac import CMAC  # noqa: PLC0415 - slow

    cmac = CMAC(AES(_hex(params, "key", 16)))
    cmac.update(seed)
    return cmac.finalize()


def _vw_sa2(_level: int, seed: bytes, params: dict[str, str]) -> bytes:
    from sa2_seed_key.sa2_seed_key import Sa2SeedKey  # noqa: PLC0415 - only for these ECUs

    script = _hex(params, "script", None)
    if len(seed) != 4:
        raise BadInputError(
            f"VW SA2 works on seeds of 4 bytes; the ECU gave {len(seed)}.",
            "Check the security level in the profile.",
        )
    result: int = Sa2SeedKey(script, int.from_bytes(seed, "big")).execute()
    return result.to_bytes(4, "big")


def _hex(params: dict[str, str], name: str, length: int | None) -> bytes:
    try:
        value = bytes.fromhex(params[name])
    except (KeyError, ValueError) as error:
        raise BadInputError(
            f"The seed/key parameter {name!r} is missing or not hexadecimal.",
            "Correct it in the profile.",
        ) from error
    if not value or (length is not None and len(value) != length):
        raise BadInputError(
            f"The seed/key parameter {name!r} has {len(value)} bytes, {length} are needed.",
            "Correct it in the profile.",
        )
    return value


_BUILT_IN: dict[str, Provider] = {
    "constant-xor": _constant_xor,
    "vw-sa2": _vw_sa2,
    "aes-128-cmac": _aes_128_cmac,
}
