"""What is written beside an export, so that stock tools are enough."""

from __future__ import annotations

from dataclasses import dataclass

from appliance.identity.trust import WORKSHOP
from appliance.sync.receipt import NAMESPACE_RECEIPT
from appliance.workshop.export import layout
from hw.statements import NAMESPACE_BACKUP, NAMESPACE_RECORD

_KIT = """"$(sed -n 's/.*,"kit":"\\(SHA256:[^"]*\\)",.*/\\1/p' {file})\""""


@dataclass(frozen=True)
class Example:
    """A backup in the export, by which the guide shows how one is opened; paths in the folder."""

    kit: str
    manifest: str
    signature: str
    files: tuple[str, ...]


def guide(fingerprint: str, example: Example | None) -> str:
    """`OPEN-ME.txt`.

    Args:
        fingerprint: of the workshop's signing key.
        example: any backup that is in the export.
    """
    return f"""\
All that a workshop kept: {layout.FORMAT}
{"=" * 42}

It opens with ssh-keygen (OpenSSH 8.1 or later), age (age-encryption.org/v1), sha256sum, sed, awk
and tar; the program that made it is not needed. Run the commands inside this folder.

What is here
  {layout.RECORDS:<16} every record of a kit, one to a line: exactly the bytes that it signed
  {layout.RECORD_SIGNATURES:<16} the kits' signatures of them, in the same order
  {layout.RECEIPTS:<16} what the workshop signed for each record, in the same order
  {layout.RECEIPT_SIGNATURES:<16} the workshop's signatures of that
  {layout.BACKUPS:<16} which files belong to which backup of which job
  {layout.BLOBS:<16} every file that belongs to a record
  {layout.BLOB_FOLDER + "/":<16} they, each named by its SHA-256
  {layout.KITS:<16} the kits and their public keys
  {layout.SIGNERS:<16} the keys of kits and workshop, in the form that ssh-keygen wants
  {layout.AUTHORITY:<16} the certificate that kits know the workshop by
  {layout.SUMS:<16} the SHA-256 of every file, signed by the workshop in {layout.SUMS_SIGNATURE}
  *.jsonl          the rest: the workshop's own tables, one row to a line; bytes are base64

A line of {layout.RECORDS} holds the events of a job, each as the text that the kit signed, with its
signature; the hash of an event is the SHA-256 of its text, and stands in the event after it.

1. Whose word is it? The workshop's key must be {fingerprint}.
   Compare it with the workshop's paper, since a key that lies beside a signature proves nothing.
     grep '^{WORKSHOP} ' {layout.SIGNERS} | cut -d' ' -f3- | ssh-keygen -l -f -

2. Nothing was changed, and nothing is missing:
     ssh-keygen -Y verify -f {layout.SIGNERS} -I {WORKSHOP} -n {layout.NAMESPACE_EXPORT} \\
       -s {layout.SUMS_SIGNATURE} < {layout.SUMS}
     sha256sum --quiet -c {layout.SUMS}

3. Every record was signed by its kit, and every receipt by the workshop, here for the first one;
   'sh {layout.SCRIPT}' does it for all, and step 2, too:
     sed -n 1p {layout.RECORDS} | tr -d '\\n' > record.json
     awk '/^-----BEGIN/ {{ n++ }} n == 1' {layout.RECORD_SIGNATURES} > record.json.sig
     ssh-keygen -Y verify -f {layout.SIGNERS} -n {NAMESPACE_RECORD} -s record.json.sig \\
       -I {_KIT.format(file="record.json")} < record.json
     sed -n 1p {layout.RECEIPTS} | tr -d '\\n' > receipt.json
     awk '/^-----BEGIN/ {{ n++ }} n == 1' {layout.RECEIPT_SIGNATURES} > receipt.json.sig
     ssh-keygen -Y verify -f {layout.SIGNERS} -I {WORKSHOP} -n {NAMESPACE_RECEIPT} \\
       -s receipt.json.sig < receipt.json

{_backup_words(example)}"""


def _backup_words(example: Example | None) -> str:
    if example is None:
        return "There is no backup of an ECU in this export.\n"
    lines = [
        f"4. A backup of an ECU is a line of {layout.BACKUPS}. Put the workshop's or the",
        "   recovery's age identity into identity.txt; each file makes a folder with SHA256SUMS:",
        f"     ssh-keygen -Y verify -f {layout.SIGNERS} -I {example.kit} \\",
        f"       -n {NAMESPACE_BACKUP} -s {example.signature} \\",
        f"       < {example.manifest}",
        *(f"     age -d -i identity.txt {file} | tar -x -f -" for file in example.files),
    ]
    return "\n".join(lines) + "\n"


SCRIPT = f"""\
#!/bin/sh
# Checks this folder with stock tools alone; says what is wrong, and ends with 1 if anything is.
cd "$(dirname "$0")" || exit 1
at=$(mktemp -d) || exit 1
trap 'rm -rf "$at"' EXIT
bad=0
wrong() {{ bad=1; echo "WRONG: $1"; }}

signed() {{  # $1 whose word, $2 in which namespace; the document and its signature lie in $at
  ssh-keygen -Y verify -f {layout.SIGNERS} -I "$1" -n "$2" -s "$at/signature" \\
    < "$at/document" > "$at/said" 2>&1
}}

next_signature() {{  # the next one of what is open as 3
  : > "$at/signature"
  while IFS= read -r part <&3; do
    printf '%s\\n' "$part" >> "$at/signature"
    case $part in -----END*) break ;; esac
  done
}}

cp {layout.SUMS} "$at/document" && cp {layout.SUMS_SIGNATURE} "$at/signature"
signed {WORKSHOP} {layout.NAMESPACE_EXPORT} || wrong "{layout.SUMS} is not the workshop's"
sha256sum --quiet -c {layout.SUMS} || wrong "files were changed or are missing, see above"

n=0
while IFS= read -r line; do
  n=$((n + 1))
  printf %s "$line" > "$at/document"
  next_signature
  kit={_KIT.format(file='"$at/document"')}
  signed "$kit" {NAMESPACE_RECORD} || wrong "record $n is not its kit's"
done < {layout.RECORDS} 3< {layout.RECORD_SIGNATURES}

n=0
while IFS= read -r line; do
  n=$((n + 1))
  printf %s "$line" > "$at/document"
  next_signature
  signed {WORKSHOP} {NAMESPACE_RECEIPT} || wrong "receipt $n is not the workshop's"
done < {layout.RECEIPTS} 3< {layout.RECEIPT_SIGNATURES}

[ $bad = 0 ] && echo "All of it is whole; records: $n."
exit $bad
"""
