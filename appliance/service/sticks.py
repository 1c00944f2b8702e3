"""USB sticks for the service: what lies on them, containers from them, exports onto them."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import msgspec

from appliance.api import messages as m
from appliance.containers import SIZE_LIMIT, ContainerKind, Image
from appliance.containers.binary import MANIFEST_LIMIT, MANIFEST_SUFFIXES
from appliance.containers.load import kind_by_name, kind_of
from appliance.containers.survey import Survey, manifest_of, survey
from appliance.plans.compiled import PlanError
from appliance.plans.compiler import fit_container
from appliance.profiles.schema import Profile
from appliance.service.plans import read_container
from appliance.sticks import (
    Entry,
    Place,
    Stick,
    find_sticks,
    has_file,
    list_folder,
    place_of,
    put_file,
    put_folder,
    read_file,
    stick_at,
)
from hw.config import KitConfig
from hw.errors import BadInputError


@dataclass(frozen=True)
class FromStick:
    """A container as it was read from a stick, with the manifest that lies beside it."""

    name: str
    content: bytes
    manifest: bytes | None


class StickDesk:
    """Sticks that are plugged in at this moment.

    Args:
        config: the kit's configuration.

    Raises:
        StickError: the kernel does not tell what is mounted.
    """

    def __init__(self, config: KitConfig) -> None:
        self._sticks = find_sticks(config)

    def all(self) -> list[m.Stick]:
        """Every stick."""
        return [
            m.Stick(
                name=stick.name,
                folder=str(stick.folder),
                free_bytes=stick.free_bytes,
                size_bytes=stick.size_bytes,
                read_only=stick.read_only,
                simulated=stick.simulated,
            )
            for stick in self._sticks
        ]

    def files(self, path: str) -> m.StickFolder:
        """What lies in a folder on a stick.

        Raises:
            NotOnStick: the path leads off the sticks, or is no folder.
            StickError: the stick is gone or does not answer.
        """
        place = place_of(self._sticks, path)
        listing = list_folder(place)
        names = {entry.name for entry in listing.entries}
        return m.StickFolder(
            stick=str(place.stick.folder),
            path=str(place.path),
            parent=str(place.path.parent) if place.names else "",
            entries=[_entry(place, entry, names) for entry in listing.entries],
            left_out=listing.left_out,
        )

    def container(self, path: str) -> FromStick:
        """Read a container, with the manifest beside it where its name announces no format.

        Raises:
            NotOnStick: the path leads off the sticks, or is no file.
            StickError: the stick is gone or does not answer.
        """
        place = place_of(self._sticks, path)
        # One byte more than is allowed: the reader says that it is too large.
        content = read_file(place, SIZE_LIMIT + 1)
        return FromStick(place.name, content, _manifest(place))

    def inspect(self, path: str, profile: Profile | None) -> m.ContainerView:
        """What a container says of itself; a bad file is an answer.

        Raises:
            NotOnStick: the path leads off the sticks, or is no file.
            StickError: the stick is gone or does not answer.
        """
        found = self.container(path)
        try:
            image = read_container(found.name, found.content, found.manifest)
        except BadInputError as error:
            return _bad(path, found, error)
        return _good(path, found, image, profile)

    def put(self, stick: str, name: str, files: Sequence[m.File]) -> tuple[Stick, str]:
        """Write files into a new folder on a stick, all or none.

        Raises:
            StickError: the stick is missing, full, read-only, gone or failing.
        """
        to = stick_at(self._sticks, stick)
        return to, put_folder(to, name, {item.name: item.content for item in files})

    def put_file(self, stick: str, file: m.File) -> tuple[Stick, str]:
        """Write a file onto a stick, whole or not at all.

        Raises:
            StickError: as `put`.
        """
        to = stick_at(self._sticks, stick)
        return to, put_file(to, file.name, file.content)


def _entry(place: Place, entry: Entry, names: set[str]) -> m.StickEntry:
    return m.StickEntry(
        name=entry.name,
        path=str(place.path / entry.name),
        folder=entry.folder,
        size=entry.size,
        modified=entry.modified,
        container="" if entry.folder else _announced(entry.name, names),
    )


def _announced(name: str, names: set[str]) -> ContainerKind | Literal[""]:
    """The format that a name announces; a manifest beside a file makes it a raw binary."""
    if kind := kind_by_name(name):
        return kind
    return "binary" if any(name + suffix in names for suffix in MANIFEST_SUFFIXES) else ""


def _manifest(place: Place) -> bytes | None:
    if kind_by_name(place.name) is not None:
        return None
    for suffix in MANIFEST_SUFFIXES:
        beside = place.beside(place.name + suffix)
        if has_file(beside):
            return read_file(beside, MANIFEST_LIMIT + 1)
    return None


def _good(path: str, found: FromStick, image: Image, profile: Profile | None) -> m.ContainerView:
    view = msgspec.structs.replace(
        _named(path, found),
        format=image.kind,
        good=True,
        blocks=[m.Block(address=one.address, size=one.uncompressed_size) for one in image.segments],
        checksums=[m.ChecksumView(name=check, good=True) for check in image.checks],
    )
    return _held_against(profile, image, _with_words(view, image.software))


def _bad(path: str, found: FromStick, error: BadInputError) -> m.ContainerView:
    kind = kind_of(found.name, found.content, manifest=found.manifest is not None)
    told = Survey()
    if len(found.content) <= SIZE_LIMIT:
        told = survey(found.name, found.content, kind, manifest_of(found.manifest))
    view = msgspec.structs.replace(
        _named(path, found),
        format=kind or "",
        what=error.what,
        next_step=error.next_step,
        blocks=[m.Block(address=address, size=size) for address, size in told.blocks],
        checksums=[
            m.ChecksumView(name=one.name, good=one.good, found=one.found) for one in told.checksums
        ],
    )
    return _with_words(view, told.software)


def _named(path: str, found: FromStick) -> m.ContainerView:
    """What is true of any file, and nothing more."""
    return m.ContainerView(
        path=path,
        name=found.name,
        size=len(found.content),
        sha256=hashlib.sha256(found.content).hexdigest(),
        format="",
        good=False,
        what="",
        next_step="",
        part_numbers=[],
        version="",
        software={},
        blocks=[],
        checksums=[],
        profile="",
        fits=None,
        fit_what="",
        fit_next_step="",
        regions=[],
    )


def _with_words(view: m.ContainerView, software: dict[str, str]) -> m.ContainerView:
    numbers = software.get("sw_part_number", "").split(", ")
    return msgspec.structs.replace(
        view,
        part_numbers=[number for number in numbers if number],
        version=software.get("version", ""),
        software=software,
    )


def _held_against(profile: Profile | None, image: Image, view: m.ContainerView) -> m.ContainerView:
    if profile is None:
        return view
    try:
        ranges = fit_container(profile, image)
    except PlanError as error:
        return msgspec.structs.replace(
            view,
            profile=profile.name,
            fits=False,
            fit_what=error.what,
            fit_next_step=error.next_step,
        )
    labels = dict.fromkeys(one.region.label for one in ranges)
    return msgspec.structs.replace(view, profile=profile.name, fits=True, regions=list(labels))
