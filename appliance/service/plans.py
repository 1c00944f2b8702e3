"""Compiling plans for a job: what was read live, the compiler, and how a plan is shown."""

from __future__ import annotations

import hashlib
import tempfile
from pathlib import Path

import msgspec
from msgspec import Struct

from appliance.api.messages import PlanView
from appliance.containers import Image, load_container
from appliance.plans.compiled import CompiledPlan
from appliance.plans.describe import describe
from hw.errors import UNDECODABLE, BadInputError
from hw.plan import IdentityValue, WritePlan, decode_plan, digest_of
from hw.statements import TextName


class KeptChecks(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What a compiler found out besides the plan; kept with it for the evidence."""

    payload_sha256: str
    container: str
    container_sha256: str
    checks: list[str]
    compatibility: list[IdentityValue]
    preconditions: list[IdentityValue]


class KeptPlan(Struct, frozen=True, kw_only=True):
    """A plan that this kit made, with its payload and what was checked for it."""

    document: bytes
    payload: bytes
    checks: KeptChecks

    @property
    def digest(self) -> str:
        """Names the plan."""
        return digest_of(self.document)

    @property
    def plan(self) -> WritePlan:
        """The plan, decoded."""
        return decode_plan(self.document)


def kept(compiled: CompiledPlan) -> KeptPlan:
    """What is kept of a freshly compiled plan."""
    return KeptPlan(
        document=compiled.document,
        payload=compiled.payload,
        checks=KeptChecks(
            payload_sha256=hashlib.sha256(compiled.payload).hexdigest(),
            container=compiled.container,
            container_sha256=compiled.container_sha256,
            checks=list(compiled.checks),
            compatibility=list(compiled.compatibility),
            preconditions=list(compiled.preconditions),
        ),
    )


def plan_view(document: bytes, agreements: list[TextName]) -> PlanView:
    """A plan in plain words.

    Args:
        document: the plan.
        agreements: texts that it needs the customer to sign.

    Raises:
        BadInputError: the bytes are not a plan of this version.
    """
    plan = decode_plan(document)
    return PlanView(
        digest=digest_of(document),
        job=plan.job,
        title=plan.title,
        ecu=plan.target.ecu,
        link=plan.target.link,
        risk_class=plan.risk.risk_class,
        risk_text=plan.risk.text,
        risk_digest=plan.risk.digest,
        window=plan.window,
        description=describe(plan),
        payload_bytes=plan.payload_size,
        file=document,
        agreements=agreements,
    )


def read_container(name: str, content: bytes, manifest: bytes | None) -> Image:
    """Read a container that came over the API.

    Args:
        name: the file's name; its suffix may say the format.
        content: the file.
        manifest: the manifest of a raw binary, where there is one.

    Raises:
        BadInputError: the container is damaged, incomplete or not supported.
    """
    plain = Path(name).name
    if plain in ("", ".", "..") or "\x00" in plain:
        raise BadInputError(f"{name!r} is not a file's name.", "Name the container's file.")
    with tempfile.TemporaryDirectory(prefix="fieldkit-", dir=memory_folder()) as folder:
        path = Path(folder) / plain
        path.write_bytes(content)
        if manifest is None:
            return load_container(path)
        beside = path.with_name(f"{plain}{_manifest_suffix(manifest)}")
        beside.write_bytes(manifest)
        return load_container(path, beside)


def _manifest_suffix(manifest: bytes) -> str:
    return ".json" if manifest.lstrip().startswith(b"{") else ".toml"


def memory_folder() -> str | None:
    """A folder that never reaches the disk, where there is one."""
    shared = Path("/dev/shm")  # noqa: S108 - a private folder is made in it
    return str(shared) if shared.is_dir() else None


def encode_checks(checks: KeptChecks) -> bytes:
    """As they are kept."""
    return msgspec.json.encode(checks)


def decode_checks(content: bytes) -> KeptChecks:
    """As they were kept.

    Raises:
        BadInputError: they are damaged.
    """
    try:
        return msgspec.json.decode(content, type=KeptChecks)
    except UNDECODABLE as error:
        raise BadInputError(
            f"What was kept with the plan is damaged: {error}.", "Make the plan again."
        ) from error
