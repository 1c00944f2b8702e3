"""The database: unreadable without its key, whole or refused, one transaction to a call."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path

import apsw
import pytest

from appliance.store import Store, StoreDamaged, StoreUnavailable, Tables
from appliance.store.schema import MIGRATIONS
from hw.errors import UsageError

KEY = bytes(range(32))
SECRET = b"WVWZZZ1JZXW000001"


def folder_bytes(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in sorted(folder.iterdir()))


def opened_raw(path: Path, key: bytes = KEY) -> apsw.Connection:
    """The database as somebody with the key and another program sees it."""
    connection = apsw.Connection(str(path))
    connection.execute("PRAGMA cipher = 'chacha20'")
    connection.execute(f"PRAGMA key = 'raw:{key.hex()}'")
    return connection


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "appliance.db"


def test_nothing_is_readable_without_the_key_while_open_and_after(
    path: Path, tmp_path: Path
) -> None:
    with Store(path, KEY) as store:
        store.put_blob(SECRET * 500)
        store.set_setting("vin", SECRET.decode())
        assert (tmp_path / "appliance.db-wal").stat().st_size > 8000
        assert SECRET not in folder_bytes(tmp_path)
    content = folder_bytes(tmp_path)
    assert SECRET not in content
    assert b"settings" not in content
    assert not content.startswith(b"SQLite format 3")
    with apsw.Connection(str(path)) as plain, pytest.raises(apsw.NotADBError):
        plain.execute("SELECT * FROM sqlite_master").fetchall()
    plain.close()


def test_the_file_belongs_to_its_owner_alone(path: Path) -> None:
    with Store(path, KEY):
        assert path.stat().st_mode & 0o777 == 0o600


def test_what_was_kept_is_there_after_opening_again(path: Path) -> None:
    with Store(path, KEY) as store:
        name = store.put_blob(SECRET)
        assert store.put_blob(SECRET) == name
        store.set_setting("a", "1")
        store.set_setting("a", "2")
    with Store(path, KEY) as store:
        assert store.blob(name) == SECRET
        assert store.has_blob(name)
        assert not store.has_blob("0" * 64)
        assert store.setting("a") == "2"
        assert store.setting("b") is None
        with pytest.raises(UsageError):
            store.blob("0" * 64)


def test_it_is_durable_and_in_the_write_ahead_log(path: Path) -> None:
    with Store(path, KEY) as store:
        database = store._database
        run = store._thread.submit
        assert run(database.pragma, "journal_mode").result(5) == "wal"
        assert run(database.pragma, "synchronous").result(5) == 2
        assert run(database.pragma, "cipher").result(5) == "chacha20"


def test_a_wrong_key_is_told_and_changes_nothing(path: Path) -> None:
    with Store(path, KEY) as store:
        store.set_setting("a", "1")
    before = path.read_bytes()
    with pytest.raises(StoreDamaged, match="another kit") as caught:
        Store(path, bytes(32))
    assert "Keep the file" in caught.value.next_step
    assert path.read_bytes() == before


def test_a_database_that_is_not_encrypted_is_refused(path: Path) -> None:
    plain = apsw.Connection(str(path))
    plain.execute("CREATE TABLE a (b)")
    plain.close()
    with pytest.raises(StoreDamaged, match="not encrypted"):
        Store(path, KEY)


def test_one_flipped_bit_in_any_page_is_found_when_it_is_opened(path: Path) -> None:
    with Store(path, KEY) as store:
        store.put_blob(os.urandom(20_000))
    content = path.read_bytes()
    for at in range(3, len(content), 1021):
        changed = bytearray(content)
        changed[at] ^= 0x10
        path.write_bytes(changed)
        with pytest.raises(StoreDamaged):
            Store(path, KEY)
    path.write_bytes(content[:-4096])
    with pytest.raises(StoreDamaged):
        Store(path, KEY)


def test_of_a_large_database_a_flipped_bit_is_found_when_its_page_is_read(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Store(path, KEY) as store:
        names = [store.put_blob(os.urandom(100_000)) for _ in range(3)]
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0x10
    path.write_bytes(content)
    with pytest.raises(StoreDamaged):
        Store(path, KEY)
    monkeypatch.setattr("appliance.store.store.CHECK_AT_OPEN_BYTES", len(content) - 1)
    with Store(path, KEY) as store:
        damaged = 0
        for name in names:
            try:
                store.blob(name)
            except StoreDamaged:
                damaged += 1
        assert damaged == 1


def test_a_newer_schema_is_refused_and_left_alone(path: Path) -> None:
    with Store(path, KEY):
        pass
    with opened_raw(path) as raw:
        raw.execute("INSERT INTO schema_migrations VALUES (99, 'future', 'then')")
    raw.close()
    with pytest.raises(StoreDamaged, match="version 99") as caught:
        Store(path, KEY)
    assert "newer program" in caught.value.next_step


def test_every_migration_is_recorded_once(path: Path) -> None:
    for _ in range(2):
        with Store(path, KEY):
            pass
    with opened_raw(path) as raw:
        rows = raw.execute("SELECT version, name FROM schema_migrations").fetchall()
    raw.close()
    assert rows == [(index, name) for index, (name, _) in enumerate(MIGRATIONS, start=1)]


def test_two_processes_never_have_it_open(path: Path) -> None:
    program = (
        "import sys; from pathlib import Path; from appliance.store import Store\n"
        "from hw.errors import FieldKitError\n"
        "try: Store(Path(sys.argv[1]), bytes(range(32)))\n"
        "except FieldKitError as error: print(error.code, error.what)"
    )
    with Store(path, KEY):
        done = subprocess.run(
            [sys.executable, "-c", program, str(path)],
            capture_output=True, text=True, timeout=60, check=True,
        )  # fmt: skip
    assert done.stdout.startswith("store_unavailable Another process")


def test_a_folder_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(StoreUnavailable, match="cannot be opened"):
        Store(tmp_path / "absent" / "a.db", KEY)


def test_a_failed_call_leaves_nothing_behind(path: Path) -> None:
    def half(tables: Tables) -> None:
        tables.settings.insert({"name": "a", "value": "half"}).execute()
        raise ZeroDivisionError

    with Store(path, KEY) as store:
        with pytest.raises(ZeroDivisionError):
            store.run(half)
        assert store.setting("a") is None


def test_calls_from_many_threads_run_on_the_one_that_owns_it(path: Path) -> None:
    seen: set[str] = set()

    def count(tables: Tables) -> None:
        seen.add(threading.current_thread().name)
        rows = list(tables.settings.select().where(tables.settings.name == "n"))
        value = str(int(rows[0]["value"]) + 1) if rows else "1"
        tables.settings.insert({"name": "n", "value": value}).on_conflict_replace().execute()

    with Store(path, KEY) as store:
        threads = [
            threading.Thread(target=lambda: [store.run(count) for _ in range(10)]) for _ in range(5)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30)
        assert store.setting("n") == "50"
    assert len(seen) == 1


def test_a_closed_store_says_so(path: Path) -> None:
    store = Store(path, KEY)
    store.close()
    store.close()
    with pytest.raises(StoreUnavailable, match="closed"):
        store.setting("a")


def test_a_blob_that_was_changed_is_never_given_out(path: Path) -> None:
    with Store(path, KEY) as store:
        name = store.put_blob(SECRET)
    with opened_raw(path) as raw:
        raw.execute("UPDATE blobs SET data = ?", (b"other",))
    raw.close()
    with Store(path, KEY) as store, pytest.raises(StoreDamaged, match="was changed"):
        store.blob(name)


def test_what_a_killed_process_had_committed_is_there(path: Path) -> None:
    program = (
        "import os, sys; from pathlib import Path; from appliance.store import Store\n"
        "store = Store(Path(sys.argv[1]), bytes(range(32)))\n"
        "store.set_setting('a', 'kept')\n"
        "os.kill(os.getpid(), 9)"
    )
    done = subprocess.run([sys.executable, "-c", program, str(path)], timeout=60, check=False)
    assert done.returncode == -9
    with Store(path, KEY) as store:
        assert store.setting("a") == "kept"


def test_a_full_card_is_told_and_what_was_there_stays(path: Path) -> None:
    program = (
        "import resource, sys; from pathlib import Path; from appliance.store import Store\n"
        "from hw.errors import FieldKitError\n"
        "store = Store(Path(sys.argv[1]), bytes(range(32)))\n"
        "store.set_setting('a', 'kept')\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, 300_000))\n"
        "try: store.put_blob(bytes(1_000_000))\n"
        "except FieldKitError as error: print(error.code, error.next_step)\n"
        "store.close()"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(path)],
        capture_output=True, text=True, timeout=60, check=True,
    )  # fmt: skip
    assert done.stdout.startswith("store_unavailable Check that the card has room")
    with Store(path, KEY) as store:
        assert store.setting("a") == "kept"
