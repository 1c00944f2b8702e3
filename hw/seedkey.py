"""Seed/key providers for SecurityAccess (0x27, ISO 14229-1:2020, 10.4).

A profile names the provider and its parameters; nothing is guessed, because a wrong key counts
against the ECU's lock-out. Three providers come with the kit:

    constant-xor   params: key (hex, as long as the seed). Key = seed XOR constant.
    vw-sa2         params: script (hex). Volkswagen's SA2 byte code over a 4-byte seed.
    aes-128-cmac   params: key (32 hex digits). AES-128-CMAC (RFC 4493) over the seed.

Others are added by installing a package with an entry point in the group `fieldkit.seed_key`: its
name is the provider's, its object a callable `(level: int, seed: bytes, params: dict[str, str]) ->
bytes` that raises ValueError where seed or parameters are wrong. It runs inside `hw`.

A seed of zeros only means that this level is unlocked already (ISO 14229-1:2020, 10.4.2): the
caller then sends no key and must not ask for one here.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from importlib.metadata import entry_points

from hw.errors import BadInputError, UsageError

ENTRY_POINT_GROUP = "fieldkit.seed_key"

Provider = Callable[[int, bytes, dict[str, str]], bytes]
"""Computes the key for `(level, seed, params)`; ValueError where they do not fit."""

SA2_STEPS_MAX = 100_000
"""Longest run of an SA2 script; real ones take a few hundred steps."""


def key_for(provider: str, level: int, seed: bytes, params: dict[str, str]) -> bytes:
    """Compute the key that unlocks a security level.

    Args:
        provider: name of the algorithm, from the profile.
        level: the requestSeed sub-function, an odd number from 0x01 to 0x7D.
        seed: the seed that the ECU sent; not all zeros (see the module's text).
        params: the provider's parameters, from the profile.

    Raises:
        UsageError: no such provider, or the level is not a requestSeed sub-function.
        BadInputError: the provider cannot use this seed or these parameters; nothing was sent.
    """
    if not 0x01 <= level <= 0x7D or level % 2 == 0:
        raise UsageError(
            f"0x{level:02X} is no security level.",
            "A level is named by its odd requestSeed sub-function, 0x01 to 0x7D.",
        )
    compute = _BUILT_IN[provider] if provider in _BUILT_IN else _installed(provider)
    try:
        key: object = compute(level, seed, params)  # a third party may return anything
    except ValueError as error:
        raise BadInputError(
            f"Seed/key provider '{provider}' cannot compute a key for level 0x{level:02X}: "
            f"{error}.",
            "Correct the security parameters in the profile; no key was sent.",
        ) from error
    if not isinstance(key, bytes) or not key:
        raise BadInputError(
            f"Seed/key provider '{provider}' returned no key for level 0x{level:02X}.",
            "Ask whoever supplied the provider; no key was sent.",
        )
    return key


def _installed(provider: str) -> Provider:
    found = [point for point in entry_points(group=ENTRY_POINT_GROUP) if point.name == provider]
    if not found:
        known = sorted({*_BUILT_IN, *(p.name for p in entry_points(group=ENTRY_POINT_GROUP))})
        raise UsageError(
            f"There is no seed/key provider '{provider}'.",
            f"Correct the profile or install the provider; known are {', '.join(known)}.",
        )
    try:
        loaded = found[0].load()
    except (ImportError, AttributeError) as error:
        raise UsageError(
            f"Seed/key provider '{provider}' cannot be loaded: {error}.",
            "Install it again.",
        ) from error
    if not callable(loaded):
        raise UsageError(f"Seed/key provider '{provider}' is not callable.", "Install it again.")
    return _guarded(loaded)


def _guarded(compute: Provider) -> Provider:
    """Whatever a third party's code raises becomes the one error that `key_for` reports."""

    def run(level: int, seed: bytes, params: dict[str, str]) -> bytes:
        try:
            return compute(level, seed, dict(params))
        except Exception as error:  # foreign code: anything; the cause is kept and shown
            raise ValueError(f"{type(error).__name__}: {error}") from error

    return run


def _hex_param(params: dict[str, str], name: str) -> bytes:
    """The one parameter that a built-in provider takes."""
    if set(params) != {name}:
        given = ", ".join(sorted(params)) or "none"
        raise ValueError(f"it takes the parameter '{name}' and got {given}")
    try:
        value = bytes.fromhex(params[name])
    except ValueError:
        raise ValueError(f"parameter '{name}' is not hexadecimal") from None
    if not value:
        raise ValueError(f"parameter '{name}' is empty")
    return value


def _constant_xor(_level: int, seed: bytes, params: dict[str, str]) -> bytes:
    constant = _hex_param(params, "key")
    if len(constant) != len(seed):
        raise ValueError(
            f"the seed has {len(seed)} bytes and the parameter 'key' has {len(constant)}"
        )
    return bytes(a ^ b for a, b in zip(seed, constant, strict=True))


def _aes_128_cmac(_level: int, seed: bytes, params: dict[str, str]) -> bytes:
    from cryptography.hazmat.primitives.ciphers.algorithms import AES  # noqa: PLC0415 - on demand
    from cryptography.hazmat.primitives.cmac import CMAC  # noqa: PLC0415 - on demand

    key = _hex_param(params, "key")
    if len(key) != 16:
        raise ValueError(f"parameter 'key' has {len(key)} bytes, AES-128 needs 16")
    if not seed:
        raise ValueError("the seed is empty")
    mac = CMAC(AES(key))
    mac.update(seed)
    return mac.finalize()


def _vw_sa2(_level: int, seed: bytes, params: dict[str, str]) -> bytes:
    from sa2_seed_key.sa2_seed_key import Sa2SeedKey  # noqa: PLC0415 - on demand

    script = _hex_param(params, "script")
    if len(seed) != 4:
        raise ValueError(f"SA2 works on a seed of 4 bytes, this one has {len(seed)}")
    _check_sa2(script)
    machine = Sa2SeedKey(bytearray(script), int.from_bytes(seed, "big"))
    # The package keeps these per class: what an earlier run left there must not be met here.
    machine.for_pointers, machine.for_iterations = deque(), deque()
    try:
        return int(machine.execute()).to_bytes(4, "big")
    except (KeyError, IndexError) as error:
        raise ValueError("the SA2 script jumps to where it has no instruction") from error


# Operand bytes of each SA2 instruction.
_SA2_OPERANDS = {
    0x81: 0,  # rotate left
    0x82: 0,  # rotate right
    0x93: 4,  # add
    0x84: 4,  # subtract
    0x87: 4,  # exclusive or
    0x68: 1,  # for
    0x49: 0,  # next
    0x4A: 1,  # branch if carry is clear
    0x6B: 1,  # branch
    0x4C: 0,  # finish
}
_SA2_FOR, _SA2_NEXT = 0x68, 0x49


def _check_sa2(script: bytes) -> None:
    """A damaged script must neither fail half-way nor loop for hours."""
    at = 0
    steps = 0
    repeats = [1]
    while at < len(script):
        operands = _SA2_OPERANDS.get(script[at])
        if operands is None or at + operands >= len(script):
            raise ValueError(f"the SA2 script is damaged at byte {at}")
        if script[at] == _SA2_FOR:
            repeats.append(repeats[-1] * max(script[at + 1], 1))
        elif script[at] == _SA2_NEXT:
            repeats.pop()
        if not repeats:
            raise ValueError(f"the SA2 script ends a loop at byte {at} that it did not begin")
        steps += repeats[-1]
        at += 1 + operands
    if len(repeats) != 1:
        raise ValueError("the SA2 script does not end a loop")
    if steps > SA2_STEPS_MAX:
        raise ValueError(f"the SA2 script takes more than {SA2_STEPS_MAX} steps")


_BUILT_IN: dict[str, Provider] = {
    "constant-xor": _constant_xor,
    "vw-sa2": _vw_sa2,
    "aes-128-cmac": _aes_128_cmac,
}
