"""Sealed memory files."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hw.errors import BadInputError
from hw.memfd import read_sealed, seal, seal_parts

ALL = fcntl.F_SEAL_WRITE | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_SEAL


@given(st.binary(max_size=4096))
def test_what_was_sealed_is_read(data: bytes) -> None:
    descriptor = seal(data, "test")
    try:
        assert read_sealed(descriptor) == data
    finally:
        os.close(descriptor)


def test_parts_are_joined() -> None:
    descriptor = seal_parts((bytes([number]) * 70000 for number in range(3)), "test")
    assert read_sealed(descriptor) == b"\0" * 70000 + b"\1" * 70000 + b"\2" * 70000
    os.close(descriptor)


def test_a_sealed_file_cannot_change() -> None:
    descriptor = seal(b"plan", "test")
    with pytest.raises(PermissionError):
        os.pwrite(descriptor, b"p", 0)
    with pytest.raises(PermissionError):
        os.ftruncate(descriptor, 0)
    with pytest.raises(PermissionError):
        fcntl.fcntl(descriptor, fcntl.F_ADD_SEALS, 0)
    assert not os.get_inheritable(descriptor)
    os.close(descriptor)


@pytest.mark.parametrize(
    "seals",
    [
        0,
        ALL & ~fcntl.F_SEAL_WRITE,
        ALL & ~fcntl.F_SEAL_GROW,
        ALL & ~fcntl.F_SEAL_SHRINK,
        ALL & ~fcntl.F_SEAL_SEAL,
    ],
)
def test_a_missing_seal_is_refused(seals: int) -> None:
    descriptor = os.memfd_create("test", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    os.write(descriptor, b"plan")
    fcntl.fcntl(descriptor, fcntl.F_ADD_SEALS, seals)
    with pytest.raises(BadInputError, match="not sealed"):
        read_sealed(descriptor)
    os.close(descriptor)


def test_what_is_no_memfd_is_refused(tmp_path: Path) -> None:
    (tmp_path / "plan").write_bytes(b"plan")
    pipe, other = os.pipe()
    for descriptor in (os.open(tmp_path / "plan", os.O_RDONLY), pipe):
        with pytest.raises(BadInputError, match="not sealed"):
            read_sealed(descriptor)
        os.close(descriptor)
    os.close(other)


def test_a_file_over_the_limit_is_refused() -> None:
    descriptor = seal(bytes(101), "test")
    assert len(read_sealed(descriptor, 101)) == 101
    with pytest.raises(BadInputError, match="101 bytes"):
        read_sealed(descriptor, 100)
    os.close(descriptor)


def test_parts_that_fail_leave_nothing_open() -> None:
    def parts() -> Iterator[bytes]:
        yield b"one"
        raise ValueError("no more")

    before = os.listdir("/proc/self/fd")
    with pytest.raises(ValueError, match="no more"):
        seal_parts(parts(), "test")
    assert os.listdir("/proc/self/fd") == before
