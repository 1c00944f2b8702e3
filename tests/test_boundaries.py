"""What no linter knows: who may reach a bus, who may use what, and what the text may not say."""

import ast
import io
import re
import tokenize
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
CODE = ("appliance", "hw", "image", "tests", "ui")
MADE = {"__pycache__", "build", "fieldkit.egg-info"}
TEXT = {
    ".cfg",
    ".json",
    ".md",
    ".py",
    ".rules",
    ".service",
    ".sh",
    ".sysusers",
    ".tmpfiles",
    ".toml",
    ".txt",
}

NAMED = {"Makefile", "run", "lock", "debian-packages", "nmcli"}
"""Files with a text for people but no suffix."""

BUS_MODULES = {"can", "doipclient", "isotp", "serial", "smbus", "smbus2"}
BUS_SOCKETS = {"AF_CAN", "PF_CAN"}
MAY_OPEN_A_BUS = ("hw/links/", "hw/sim/", "tests/")


def sources() -> list[Path]:
    """Every Python file of the project."""
    return [
        path
        for folder in CODE
        for path in sorted((ROOT / folder).rglob("*.py"))
        if not MADE & set(path.parts)
    ]


def texts() -> list[Path]:
    """Every file that a person reads, the ones without a suffix included."""
    return [
        path
        for path in sorted(ROOT.rglob("*"))
        if not set(path.relative_to(ROOT).parts) & MADE
        and (path.relative_to(ROOT).parts[0] == ".ci" or not is_hidden(path))
        and path.is_file()
        and (path.suffix in TEXT or path.name in NAMED)
    ]


def is_hidden(path: Path) -> bool:
    return any(part.startswith(".") for part in path.relative_to(ROOT).parts)


def where(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def imported(tree: ast.AST) -> Iterator[str]:
    """Top-level names of all absolute imports, those by function call with a literal included."""
    for node in ast.walk(tree):
        match node:
            case ast.Import(names=names):
                yield from (name.name.partition(".")[0] for name in names)
            case ast.ImportFrom(module=str(module), level=0):
                yield module.partition(".")[0]
            case ast.Call(
                func=ast.Name(id="import_module" | "__import__")
                | ast.Attribute(attr="import_module"),
                args=[ast.Constant(value=str(module)), *_],
            ):
                yield module.partition(".")[0]


def named(tree: ast.AST) -> Iterator[str]:
    """Every name, attribute, imported name and short string that a program mentions."""
    for node in ast.walk(tree):
        match node:
            case ast.Name(id=name) | ast.Attribute(attr=name) | ast.alias(name=name):
                yield name
            case ast.Constant(value=str(name)):
                yield name


def bus_access(source: str) -> set[str]:
    """What in a program can open a bus to a car."""
    tree = ast.parse(source)
    return BUS_MODULES.intersection(imported(tree)) | BUS_SOCKETS.intersection(named(tree))


def unexplained_exceptions(source: str) -> list[int]:
    """Lines that silence a linter with no reason beside them or in a comment right above them."""
    found: list[int] = []
    comment_above = -1
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type != tokenize.COMMENT:
            continue
        alone = not token.line[: token.start[1]].strip()
        said = re.sub(
            r"# *(noqa|type: *ignore)(: *[A-Z]+[0-9]+(, *[A-Z]+[0-9]+)*|\[[^]]*\])?",
            "",
            token.string,
        )
        if said != token.string and not re.search(r"[a-z]{3}", said):
            if comment_above != token.start[0] - 1:
                found.append(token.start[0])
        elif alone:
            comment_above = token.start[0]
    return found


# Written in halves, so that this file does not say what it forbids.
FORBIDDEN_TEXT = re.compile(
    "|".join(
        (
            r"/wo" + r"rk/",
            r"/ro" + r"ot/",
            r"/home/[a-z]",
            r"py" + r"pi\.org",
            r"python" + r"hosted",
            r"registry\.np" + r"mjs",
            r"deb\.deb" + r"ian",
        )
    )
)


def test_only_the_links_and_the_simulated_car_can_open_a_bus() -> None:
    outside = {
        where(path): access
        for path in sources()
        if not where(path).startswith(MAY_OPEN_A_BUS) and (access := bus_access(path.read_text()))
    }
    assert outside == {}


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("import can", {"can"}),
        ("import can.interfaces.socketcan as sock", {"can"}),
        ("def late():\n    from doipclient import DoIPClient", {"doipclient"}),
        ("from serial.tools import list_ports", {"serial"}),
        ("import importlib\nimportlib.import_module('isotp.tpsock')", {"isotp"}),
        ("__import__('smbus2')", {"smbus2"}),
        ("import socket\nsocket.socket(socket.AF_CAN, socket.SOCK_RAW)", {"AF_CAN"}),
        ("from socket import AF_CAN as family", {"AF_CAN"}),
        ("import socket\ngetattr(socket, 'PF_CAN')", {"PF_CAN"}),
        ("import scanner, candle\nfrom . import can\nfrom hw.links import can", set()),
        ("'''Reads can and AF_CAN frames.'''", set()),
    ],
)
def test_every_way_to_open_a_bus_is_seen(source: str, expected: set[str]) -> None:
    assert bus_access(source) == expected


def test_the_links_are_seen_to_open_a_bus() -> None:
    """The rule would also hold over files that are not looked at."""
    links = [path for path in sources() if where(path).startswith("hw/links/")]
    assert "can" in {name for path in links for name in bus_access(path.read_text())}


def test_scapy_stays_among_the_peers_of_the_tests() -> None:
    users = {where(path) for path in sources() if "scapy" in imported(ast.parse(path.read_text()))}
    assert {user for user in users if not user.startswith("tests/peers/")} == set()


def test_no_linter_is_silenced_without_a_reason() -> None:
    silent = [
        f"{where(path)}:{line}"
        for path in sources()
        for line in unexplained_exceptions(path.read_text())
    ]
    assert silent == []


@pytest.mark.parametrize(
    ("source", "lines"),
    [
        ("import os  # noqa: F401\n", [1]),
        ("x = f()  # type: ignore[no-any-return]\n", [1]),
        ("import os  # noqa: F401 - its effect is wanted\n", []),
        ("# The library's own stub is wrong here.\nx = f()  # type: ignore[arg-type]\n", []),
        ("# Far away.\n\nx = f()  # noqa: S101\n", [3]),
        ("text = '# noqa: S101'\n", []),
    ],
)
def test_silencing_is_told_from_explaining(source: str, lines: list[int]) -> None:
    assert unexplained_exceptions(source) == lines


def test_the_text_names_no_machine_and_no_package_host() -> None:
    found = [
        f"{where(path)}: {match[0]}"
        for path in texts()
        if (match := FORBIDDEN_TEXT.search(path.read_text(errors="replace")))
    ]
    assert found == []


def test_forbidden_text_would_be_found() -> None:
    assert FORBIDDEN_TEXT.search("see /ho" + "me/anna/notes")
    assert where(ROOT / "README.md") in map(where, texts())
    assert where(ROOT / ".ci/run") in map(where, texts())
