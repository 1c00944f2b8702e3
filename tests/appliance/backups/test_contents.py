"""The archives inside: the same every time, and never believed beyond their own list."""

from __future__ import annotations

import io
import tarfile

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.backups.contents import (
    ContentsError,
    identity_of,
    pack_coding,
    pack_image,
    pack_known_good,
    regions_of,
    unpack,
)
from hw.plan import IdentityValue

IDENTITY = [IdentityValue(did=0xF190, value="5746")]
NAMES = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._-]{0,20}", fullmatch=True)


@given(st.dictionaries(NAMES, st.binary(max_size=3000), max_size=4))
def test_images_come_back_as_they_went_in(images: dict[str, bytes]) -> None:
    packed = pack_image(images)
    assert regions_of(unpack("image", packed)) == images
    assert pack_image(dict(reversed(images.items()))) == packed


def test_identity_and_coding_come_back() -> None:
    files = unpack("coding", pack_coding(b'{"a": 1}', IDENTITY))
    assert files["coding.json"] == b'{"a": 1}'
    assert identity_of(files) == IDENTITY


@pytest.mark.parametrize("name", ["/etc/x", "../x", "image/../../x", "image/a/b", "coding/a", "x"])
def test_a_path_out_of_its_folder_is_refused(name: str) -> None:
    with pytest.raises(ContentsError):
        unpack("image", tar_of((name, b"1", tarfile.REGTYPE)))


@pytest.mark.parametrize(
    "kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.DIRTYPE, tarfile.FIFOTYPE]
)
def test_anything_but_a_plain_file_is_refused(kind: bytes) -> None:
    with pytest.raises(ContentsError):
        unpack("image", tar_of(("image/a", b"", kind)))


def test_more_or_less_or_other_than_its_own_list_is_refused() -> None:
    sums = unpack("known_good", pack_known_good(b"good"))["SHA256SUMS"]
    regular = tarfile.REGTYPE
    listed = ("known_good/SHA256SUMS", sums, regular)
    good = ("known_good/known-good.bin", b"good", regular)
    assert unpack("known_good", tar_of(good, listed))["known-good.bin"] == b"good"
    for entries in (
        [listed],
        [good],
        [good, good, listed],
        [("known_good/known-good.bin", b"evil", regular), listed],
        [good, ("known_good/more", b"", regular), listed],
        [],
    ):
        with pytest.raises(ContentsError):
            unpack("known_good", tar_of(*entries))


@pytest.mark.parametrize("archive", [b"", b"x" * 5000, pack_known_good(b"good" * 500)[:700]])
def test_something_else_than_a_whole_archive_is_refused(archive: bytes) -> None:
    with pytest.raises(ContentsError):
        unpack("known_good", archive)


@pytest.mark.parametrize(
    "files", [{}, {"regions.json": b"{}"}, {"regions.json": b'[{"name":"a","file":"b","size":1}]'}]
)
def test_regions_that_do_not_fit_their_files_are_refused(files: dict[str, bytes]) -> None:
    with pytest.raises(ContentsError):
        regions_of(files)
    with pytest.raises(ContentsError):
        regions_of(files | {"b": b"22"})
    with pytest.raises(ContentsError):
        identity_of(files)


def tar_of(*entries: tuple[str, bytes, bytes]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name, data, kind in entries:
            entry = tarfile.TarInfo(name)
            entry.size, entry.type, entry.linkname = len(data), kind, "x"
            archive.addfile(entry, io.BytesIO(data))
    return buffer.getvalue()
