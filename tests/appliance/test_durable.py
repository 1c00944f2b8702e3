"""Durable writes: the old content or the new, with the mode that was asked for."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from appliance.durable import create_durably, write_durably


def test_content_and_mode_are_what_was_asked_whatever_the_umask(tmp_path: Path) -> None:
    before = os.umask(0o077)
    try:
        write_durably(tmp_path / "public", b"one", 0o644)
        write_durably(tmp_path / "public", b"two", 0o644)
        write_durably(tmp_path / "secret", b"three")
    finally:
        os.umask(before)
    assert (tmp_path / "public").read_bytes() == b"two"
    assert (tmp_path / "public").stat().st_mode & 0o777 == 0o644
    assert (tmp_path / "secret").stat().st_mode & 0o777 == 0o600
    assert sorted(path.name for path in tmp_path.iterdir()) == ["public", "secret"]


def test_a_failed_write_leaves_the_old_content_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_durably(tmp_path / "file", b"old")

    def fails(_descriptor: int) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(os, "fsync", fails)
    with pytest.raises(OSError, match="Input/output"):
        write_durably(tmp_path / "file", b"new")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
    assert (tmp_path / "file").read_bytes() == b"old"


def test_content_is_synced_before_the_name_points_to_it_and_the_name_after(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[tuple[bool, bool]] = []
    real = os.fsync

    def watched(descriptor: int) -> None:
        is_folder = os.path.isdir(f"/proc/self/fd/{descriptor}")
        seen.append((is_folder, (tmp_path / "file").exists()))
        real(descriptor)

    monkeypatch.setattr(os, "fsync", watched)
    write_durably(tmp_path / "file", b"new")
    assert seen == [(False, False), (True, True)]


def test_creating_never_replaces(tmp_path: Path) -> None:
    create_durably(tmp_path / "file", b"old")
    with pytest.raises(FileExistsError):
        create_durably(tmp_path / "file", b"new")
