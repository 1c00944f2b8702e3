"""A job's record as a folder that opens without this program, and the proof that it is whole.

`SHA256SUMS` names every other file and is signed by the kit, so any changed, missing or added byte
is found with `ssh-keygen` and `sha256sum` alone. The chain inside is proven once more, event by
event. Whose key it is must be known from elsewhere: the `allowed_signers` in the folder is as good
as its source. What a folder cannot show is that the job went on after it was exported.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import msgspec
import rfc8785

from appliance.durable import write_durably
from appliance.identity.trust import KIT, signer_line
from appliance.records.chain import Head, Verified, read_head, verify_chain
from appliance.records.events import Exported, PlanCompiled
from appliance.records.records import Records
from appliance.records.report import report_pdf
from hw.errors import UNDECODABLE, BadInputError
from hw.sshsig import AllowedSigners, SignatureError, fingerprint, public_line, sign, verify
from hw.statements import NAMESPACE_RECORD

JOB_FORMAT = "fieldkit-job/1"
SUMS, SUMS_SIGNATURE = "SHA256SUMS", "SHA256SUMS.sig"
_END = b"-----END SSH SIGNATURE-----\n"
_SUM_LINE = re.compile(
    r"([0-9a-f]{64})  ([A-Za-z0-9_-][A-Za-z0-9._-]*(?:/[A-Za-z0-9_-][A-Za-z0-9._-]*)*)"
)
_ASK_AGAIN = "Do not rely on this folder; export the job again or get another copy."

README = """\
Record of job {job}
===================

What is here
  report.pdf        the report, for people
  job.json          the whole record as one JSON file
  events.jsonl      every event, one to a line, in order: exactly the bytes that were signed
  events.sigs       the kit's signature of every event, in the same order
  head.json(.sig)   how many events there are and the hash of the last one, signed
  plans/            every plan that was made: all that could be sent to the ECU
  containers/       the files that plans were made from, where the kit kept them
  payloads/         the bytes that plans wrote, where there was no file
  kit.pub           the kit's public key: {fingerprint}
  allowed_signers   the same key, in the form that ssh-keygen wants
  SHA256SUMS(.sig)  the hash of every file above, signed

How to verify it with stock tools (OpenSSH 8.1 or later, coreutils)
1. Make sure that the key is the kit's: ask the workshop, or compare with a report on paper.
     ssh-keygen -l -f kit.pub
2. The list of files was signed by that key, and every file is as it was:
     ssh-keygen -Y verify -f allowed_signers -I {signer} -n {namespace} \\
       -s SHA256SUMS.sig < SHA256SUMS
     sha256sum -c SHA256SUMS
3. Every event follows the one before it; the last line printed must be the head in head.json:
     sh verify-chain.sh

An event's hash is the SHA-256 of its line in events.jsonl without the line end. What is signed in
events.sigs is that hash as 64 letters.
"""

VERIFY_CHAIN = """\
#!/bin/sh
# Computes the chain of events.jsonl again and prints the hash of its last event.
previous={no_event}
while IFS= read -r line; do
  case "$line" in
    *'"prev_hash":"'"$previous"'"'*) ;;
    *) echo "broken after $previous" >&2; exit 1 ;;
  esac
  previous=$(printf %s "$line" | sha256sum | cut -c1-64)
done < events.jsonl
echo "$previous"
"""


class ExportDamaged(BadInputError):
    """An exported folder is not what the kit wrote."""

    code = "export_damaged"

    def __init__(self, folder: Path, reason: str) -> None:
        super().__init__(f"The export {folder} is damaged: {reason}.", _ASK_AGAIN)


@dataclass(frozen=True)
class ExportedJob:
    """An export that was written: where, up to which head, and the hash that names its files."""

    folder: Path
    head: Head
    files_sha256: str


# Writing ------------------------------------------------------------------------------------------


def export_files(records: Records, job: str) -> dict[str, bytes]:
    """Every file of a job's export by its relative name, `SHA256SUMS` and its signature last.

    The same chain gives the same bytes.

    Raises:
        ChainBroken: the record is not whole; nothing that is damaged is exported.
        JobNotThere: there is no such job.
    """
    verified = records.verify_job(job)
    head = records.signed_head(job)
    key = records.kit_key.public_key()
    lines = [event.document for event in verified.events]
    kept = dict(_kept_files(records, verified))
    files = {
        "report.pdf": report_pdf(verified.events, _plans(kept)),
        "job.json": _whole(records, verified),
        "events.jsonl": b"".join(line + b"\n" for line in lines),
        "events.sigs": b"".join(event.signature for event in verified.events),
        "head.json": head.document,
        "head.json.sig": head.signature,
        "kit.pub": f"{public_line(key)} {verified.signer}\n".encode(),
        "allowed_signers": signer_line(KIT, key).encode(),
        "verify-chain.sh": VERIFY_CHAIN.format(no_event=verified.events[0].prev_hash).encode(),
        "README.txt": README.format(
            job=job, signer=KIT, namespace=NAMESPACE_RECORD, fingerprint=fingerprint(key)
        ).encode(),
        **kept,
    }
    sums = "".join(
        f"{hashlib.sha256(content).hexdigest()}  {name}\n"
        for name, content in sorted(files.items())
    ).encode()
    return {**files, SUMS: sums, SUMS_SIGNATURE: sign(sums, records.kit_key, NAMESPACE_RECORD)}


def report_of(records: Records, job: str) -> bytes:
    """The report alone, as `export_files` has it.

    Raises:
        ChainBroken, JobNotThere: as `export_files`.
    """
    verified = records.verify_job(job)
    return report_pdf(verified.events, _plans(dict(_kept_files(records, verified))))


def export_job(records: Records, job: str, folder: Path) -> ExportedJob:
    """Write a job's export into a new or empty folder, and record that it was exported.

    Raises:
        BadInputError: the folder holds something or cannot be written.
        ChainBroken, JobNotThere: as `export_files`.
    """
    files = export_files(records, job)
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if any(folder.iterdir()):
            raise BadInputError(f"The folder {folder} is not empty.", "Name a new folder.")
        for name, content in files.items():
            path = folder / name
            path.parent.mkdir(mode=0o700, exist_ok=True)
            write_durably(path, content)
    except OSError as error:
        raise BadInputError(
            f"The export cannot be written to {folder}: {error.strerror}.",
            "Check that the medium has room and can be written, then export again.",
        ) from error
    return note_export(records, job, files, folder)


def note_export(
    records: Records, job: str, files: Mapping[str, bytes], folder: Path
) -> ExportedJob:
    """Put on a job's chain that these files were exported."""
    head = msgspec.json.decode(files["head.json"], type=Head)
    files_sha256 = hashlib.sha256(files[SUMS]).hexdigest()
    body = Exported(length=head.length, head=head.head, files_sha256=files_sha256)
    records.append(job, body)
    return ExportedJob(folder, head, files_sha256)


def _whole(records: Records, verified: Verified) -> bytes:
    """The record as one document, for programs that read it."""
    view = msgspec.to_builtins(records.job(verified.head.job))
    return rfc8785.dumps(
        {
            "format": JOB_FORMAT,
            "job": view,
            "head": msgspec.to_builtins(verified.head),
            "events": [_with_proof(event.document, event) for event in verified.events],
        }
    )


def _with_proof(document: bytes, event: Any) -> dict[str, Any]:
    raw: dict[str, Any] = msgspec.json.decode(document)
    return {"event": raw, "hash": event.hash, "signature": event.signature.decode("ascii")}


def _kept_files(records: Records, verified: Verified) -> Iterator[tuple[str, bytes]]:
    """Plans, and what they wrote, as far as the store kept them."""
    for event in verified.events:
        body = event.body
        if not isinstance(body, PlanCompiled):
            continue
        if records.store.has_blob(body.plan_digest):
            yield f"plans/{body.plan_digest}.json", records.store.blob(body.plan_digest)
        if body.container_sha256 and records.store.has_blob(body.container_sha256):
            name = _plain_name(body.container)
            content = records.store.blob(body.container_sha256)
            yield f"containers/{body.container_sha256[:16]}-{name}", content
        elif body.payload_sha256 and records.store.has_blob(body.payload_sha256):
            yield f"payloads/{body.payload_sha256}.bin", records.store.blob(body.payload_sha256)


def _plans(kept: Mapping[str, bytes]) -> dict[str, bytes]:
    """The kept plans by their digests."""
    return {PurePosixPath(name).stem: kept[name] for name in kept if name.startswith("plans/")}


def _plain_name(name: str) -> str:
    """A file name with nothing in it that a shell, a path or a list of sums could mistake."""
    return re.sub(r"[^A-Za-z0-9._-]", "_", PurePosixPath(name).name)[-80:] or "container"


# Verifying ----------------------------------------------------------------------------------------


def verify_export(folder: Path, signers: AllowedSigners, known: Sequence[Head] = ()) -> Verified:
    """Prove that an exported folder is what a kit wrote.

    Args:
        folder: the folder.
        signers: who may sign records, from a source that is trusted; not from the folder itself.
        known: heads of the job kept elsewhere, which the record must contain.

    Raises:
        ExportDamaged: a file is missing, changed, added, or the signature does not fit.
        ChainBroken: the chain inside does not fit, or lacks a known head.
    """
    sums = _read(folder, SUMS)
    _check_signature(folder, sums, signers)
    files = _listed(folder, sums)
    _check_nothing_else(folder, files)
    job, head = _head(folder, files)
    lines = files["events.jsonl"].removesuffix(b"\n").split(b"\n")
    signatures = [part + _END for part in files["events.sigs"].split(_END)[:-1]]
    if len(lines) != len(signatures):
        raise ExportDamaged(folder, f"{len(lines)} events have {len(signatures)} signatures")
    signed_head = read_head(job, files["head.json"], files["head.json.sig"])
    rows = zip(lines, signatures, strict=True)
    verified = verify_chain(job, rows, signed_head, signers, known)
    if verified.head != head:
        raise ExportDamaged(folder, "job.json names another head than head.json")
    return verified


def _check_signature(folder: Path, sums: bytes, signers: AllowedSigners) -> None:
    try:
        verify(sums, _read(folder, SUMS_SIGNATURE), NAMESPACE_RECORD, signers)
    except SignatureError as error:
        raise ExportDamaged(folder, f"{SUMS}: {error.what.rstrip('.')}") from error


def _listed(folder: Path, sums: bytes) -> dict[str, bytes]:
    files: dict[str, bytes] = {}
    for line in sums.decode("ascii", "replace").splitlines():
        match = _SUM_LINE.fullmatch(line)
        if match is None or match[2] in files:
            raise ExportDamaged(folder, f"{SUMS} has a line that is none: {line[:80]!r}")
        content = _read(folder, match[2])
        if hashlib.sha256(content).hexdigest() != match[1]:
            raise ExportDamaged(folder, f"{match[2]} was changed")
        files[match[2]] = content
    return files


def _check_nothing_else(folder: Path, files: Mapping[str, bytes]) -> None:
    known = {*files, SUMS, SUMS_SIGNATURE}
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if not path.is_dir() and name not in known:
            raise ExportDamaged(folder, f"{name} was added")
    for name in ("job.json", "events.jsonl", "events.sigs", "head.json", "head.json.sig"):
        if name not in files:
            raise ExportDamaged(folder, f"{name} is missing")


def _head(folder: Path, files: Mapping[str, bytes]) -> tuple[str, Head]:
    """The head in job.json, whose events must be those of events.jsonl."""
    try:
        whole = msgspec.json.decode(files["job.json"])
        lines = [rfc8785.dumps(item["event"]) + b"\n" for item in whole["events"]]
        head = msgspec.convert(whole["head"], Head)
    except (*UNDECODABLE, rfc8785.CanonicalizationError, KeyError, TypeError) as error:
        raise ExportDamaged(folder, f"job.json cannot be read: {error}") from error
    if b"".join(lines) != files["events.jsonl"]:
        raise ExportDamaged(folder, "job.json and events.jsonl differ")
    return head.job, head


def _read(folder: Path, name: str) -> bytes:
    path = folder / name
    if path.is_symlink():
        raise ExportDamaged(folder, f"{name} is a link, not a file")
    try:
        return path.read_bytes()
    except FileNotFoundError as error:
        raise ExportDamaged(folder, f"{name} is missing") from error
    except OSError as error:
        raise ExportDamaged(folder, f"{name} cannot be read: {error.strerror}") from error
