"""Fixtures that tests of every floor use."""

import shutil
import signal
import socket
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

# A shell that starts the tests in the background has them ignore SIGINT, and whatever they start
# would ignore it too; Ctrl-C is tested.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture
def short_tmp() -> Iterator[Path]:
    """Give a fresh folder whose path leaves room for a Unix socket's name (limit: 107 bytes)."""
    folder = Path(tempfile.mkdtemp(prefix="fk", dir="/tmp"))
    yield folder
    shutil.rmtree(folder)


@pytest.fixture
def free_port() -> int:
    """Name a TCP port on the loopback address that nothing listened on a moment ago."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
    return port
