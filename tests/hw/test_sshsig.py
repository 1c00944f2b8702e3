"""SSH signatures: exchanged with the real ssh-keygen, and refused when anything at all changed."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_ssh_private_key,
)

from hw.errors import BadInputError
from hw.sshsig import (
    AllowedSigners,
    SignatureError,
    parse_public_line,
    public_line,
    sign,
    verify,
)

MESSAGE = b'{"format":"fieldkit-backup/1"}'
NAMESPACE = "fieldkit-backup"


@pytest.fixture
def key() -> Ed25519PrivateKey:
    return Ed25519PrivateKey.from_private_bytes(bytes(range(32)))


def signers_for(
    path: Path, key: Ed25519PrivateKey, principals: str = "kit", namespaces: str = NAMESPACE
) -> AllowedSigners:
    path.write_text(f'{principals} namespaces="{namespaces}" {public_line(key)} the kit\n')
    return AllowedSigners.load(path)


def test_a_signature_made_here_is_accepted_by_ssh_keygen(
    tmp_path: Path, key: Ed25519PrivateKey
) -> None:
    signers_for(tmp_path / "allowed", key)
    (tmp_path / "sig").write_bytes(sign(MESSAGE, key, NAMESPACE))
    command = ["ssh-keygen", "-Y", "verify", "-f", str(tmp_path / "allowed"), "-I", "kit"]
    command += ["-n", NAMESPACE, "-s", str(tmp_path / "sig")]
    done = subprocess.run(command, check=False, input=MESSAGE, capture_output=True, timeout=20)
    assert done.returncode == 0, done.stderr
    changed = subprocess.run(
        command, check=False, input=MESSAGE + b" ", capture_output=True, timeout=20
    )
    assert changed.returncode != 0


def test_a_signature_made_by_ssh_keygen_is_accepted_here(tmp_path: Path) -> None:
    private = tmp_path / "id"
    subprocess.run(
        ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "a b", "-f", str(private)],
        check=True,
        timeout=20,
    )
    (tmp_path / "message").write_bytes(MESSAGE)
    subprocess.run(
        ["ssh-keygen", "-q", "-Y", "sign", "-f", private, "-n", NAMESPACE, tmp_path / "message"],
        check=True,
        timeout=20,
        capture_output=True,
    )
    line = private.with_suffix(".pub").read_text().strip()
    (tmp_path / "allowed").write_text(f'# who\n\nworkshop,w2 namespaces="x,{NAMESPACE}" {line}\n')
    signers = AllowedSigners.load(tmp_path / "allowed")
    made = (tmp_path / "message.sig").read_bytes()
    assert verify(MESSAGE, made, NAMESPACE, signers) == "workshop"

    loaded = load_ssh_private_key(private.read_bytes(), None)
    assert isinstance(loaded, Ed25519PrivateKey)
    assert sign(MESSAGE, loaded, NAMESPACE) == made, "Ed25519 is deterministic: byte for byte"
    assert public_line(parse_public_line(line)) == " ".join(line.split()[:2])


def test_every_flipped_bit_of_the_signature_is_refused(
    tmp_path: Path, key: Ed25519PrivateKey
) -> None:
    signers = signers_for(tmp_path / "allowed", key)
    good = sign(MESSAGE, key, NAMESPACE)
    assert verify(MESSAGE, good, NAMESPACE, signers) == "kit"
    for bit in range(len(good) * 8):
        bad = bytearray(good)
        bad[bit // 8] ^= 1 << bit % 8
        with pytest.raises(SignatureError):
            verify(MESSAGE, bytes(bad), NAMESPACE, signers)


def test_every_flipped_bit_of_the_message_is_refused(
    tmp_path: Path, key: Ed25519PrivateKey
) -> None:
    signers = signers_for(tmp_path / "allowed", key)
    good = sign(MESSAGE, key, NAMESPACE)
    for bit in range(len(MESSAGE) * 8):
        bad = bytearray(MESSAGE)
        bad[bit // 8] ^= 1 << bit % 8
        with pytest.raises(SignatureError, match="changed"):
            verify(bytes(bad), good, NAMESPACE, signers)


def test_a_signature_is_worthless_in_another_namespace(
    tmp_path: Path, key: Ed25519PrivateKey
) -> None:
    signers = signers_for(tmp_path / "allowed", key, namespaces="fieldkit-backup,fieldkit-checks")
    good = sign(MESSAGE, key, "fieldkit-backup")
    with pytest.raises(SignatureError, match="made for 'fieldkit-backup'"):
        verify(MESSAGE, good, "fieldkit-checks", signers)
    with pytest.raises(ValueError, match="needs a namespace"):
        sign(MESSAGE, key, "")


def test_a_key_signs_only_for_the_namespaces_on_its_line(
    tmp_path: Path, key: Ed25519PrivateKey
) -> None:
    signers = signers_for(tmp_path / "allowed", key, namespaces="fieldkit-checks")
    with pytest.raises(SignatureError, match="may not sign for 'fieldkit-backup'"):
        verify(MESSAGE, sign(MESSAGE, key, NAMESPACE), NAMESPACE, signers)


def test_a_stranger_is_refused_and_named_by_fingerprint(
    tmp_path: Path, key: Ed25519PrivateKey
) -> None:
    signers = signers_for(tmp_path / "allowed", key)
    stranger = Ed25519PrivateKey.generate()
    with pytest.raises(SignatureError, match="SHA256:"):
        verify(MESSAGE, sign(MESSAGE, stranger, NAMESPACE), NAMESPACE, signers)


def test_a_sha256_signature_of_ssh_keygen_is_refused(
    tmp_path: Path, key: Ed25519PrivateKey
) -> None:
    private = tmp_path / "id"
    private.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption()))
    private.chmod(0o600)
    made = subprocess.run(
        ["ssh-keygen", "-Y", "sign", "-f", private, "-n", NAMESPACE, "-O", "hashalg=sha256"],
        input=MESSAGE,
        capture_output=True,
        check=True,
        timeout=20,
    ).stdout
    with pytest.raises(SignatureError, match="damaged or not"):
        verify(MESSAGE, made, NAMESPACE, signers_for(tmp_path / "allowed", key))


@pytest.mark.parametrize(
    "armoured",
    [b"", b"-----BEGIN SSH SIGNATURE-----\n-----END SSH SIGNATURE-----\n", b"\x00" * 300],
)
def test_something_else_is_not_a_signature(
    tmp_path: Path, key: Ed25519PrivateKey, armoured: bytes
) -> None:
    with pytest.raises(SignatureError, match="damaged or not"):
        verify(MESSAGE, armoured, NAMESPACE, signers_for(tmp_path / "allowed", key))


@pytest.mark.parametrize(
    "line",
    [
        "kit {key}",
        'kit cert-authority,namespaces="fieldkit-backup" {key}',
        'kit namespaces="fieldkit-backup",valid-before="20300101" {key}',
        'kit namespaces="fieldkit-*" {key}',
        'kit namespaces="" {key}',
        'kit namespaces="a,,b" {key}',
        '* namespaces="fieldkit-backup" {key}',
        'kit,!technician namespaces="fieldkit-backup" {key}',
        'kit namespaces="fieldkit-backup" ssh-rsa AAAAB3NzaC1yc2EAAAADAQAB',
        'kit namespaces="fieldkit-backup" ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAI',
        'kit namespaces="fieldkit-backup" ssh-ed25519 {ecdsa}',
        'namespaces="fieldkit-backup" {key}',
    ],
)
def test_a_line_that_says_more_than_is_understood_is_refused_with_its_number(
    tmp_path: Path, key: Ed25519PrivateKey, line: str
) -> None:
    ecdsa = generate_private_key(SECP256R1()).public_key()
    other = ecdsa.public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode().split()[1]
    path = tmp_path / "allowed"
    path.write_text("# first line\n" + line.format(key=public_line(key), ecdsa=other) + "\n")
    with pytest.raises(BadInputError, match="line 2"):
        AllowedSigners.load(path)


def test_a_missing_list_of_signers_is_an_error_and_not_an_empty_list(tmp_path: Path) -> None:
    with pytest.raises(BadInputError, match="cannot be read"):
        AllowedSigners.load(tmp_path / "nothing")


@pytest.mark.parametrize("line", ["", "ssh-ed25519", "ssh-rsa AAAA", "ssh-ed25519 ####"])
def test_a_public_key_line_of_another_kind_is_refused(line: str) -> None:
    with pytest.raises(BadInputError):
        parse_public_line(line)
