"""The main job, end to end: real processes, the real command line, and the car's own word for it.

One kit (`fieldkit up --sim`) serves all tests of this file; each writes other bytes, so that what
is found in the car's memory can only be what that test wrote. The battery is put right before each.
"""

from __future__ import annotations

import hashlib
import json
import random
import re
import shutil
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from appliance.api.messages import JobEvent, PlanFlash
from appliance.client import ApiError
from hw.client import HwClient
from hw.plan import decode_plan
from hw.sim.fleet import VIN
from tests.stack import (
    GOOD_VOLTS,
    PASSPHRASE,
    TECHNICIAN,
    WAIT_LIMIT_S,
    Stack,
    running_stack,
    write_srecord,
)

CALIBRATION = 0x8000
SIZE = 24 * 1024
SETTLE_S = 3.0
REFUSED, ABORTED, BAD_INPUT, USAGE, UNAVAILABLE = 77, 75, 65, 64, 69
SEEDS = random.Random(20)


@pytest.fixture(scope="module")
def stack() -> Iterator[Stack]:
    with running_stack() as running:
        yield running


@pytest.fixture(autouse=True)
def steady(stack: Stack) -> None:
    """The battery is well and the gate has seen it for long enough."""
    stack.volts(GOOD_VOLTS)
    stack.control(do="sensor", fault="none")


@dataclass(frozen=True)
class Work:
    """A job with a backup, and how to plan and run in it."""

    stack: Stack
    job: str
    ecu: str
    backup: str

    def plan_flash(self, data: bytes, kind: str = "can", name: str = "new.s37") -> dict[str, Any]:
        """Plan a flash of these bytes; gives the plan as `--json` tells it."""
        words = self.container(data, name)
        return self.stack.json(
            *("plan", "flash", str(words), "--job", self.job, "--profile", f"sim-{self.ecu}"),
            *("--link", self.stack.link(self.ecu, kind), "--out", str(fresh(self.stack, "plan"))),
        )

    def container(self, data: bytes, name: str = "new.s37") -> Path:
        """A file made by a writer that is not the kit's."""
        path = fresh(self.stack, name)
        write_srecord(data, CALIBRATION, path)
        return path

    def run(self, plan: dict[str, Any]) -> subprocess.CompletedProcess[str]:
        """Run a plan, its risk accepted by digest."""
        return self.stack.with_passphrase(
            "job", "run", plan["plan"], "--yes-i-accept", plan["risk_digest"]
        )

    def start(self, plan: dict[str, Any]) -> subprocess.Popen[str]:
        return self.stack.start("job", "run", plan["plan"], "--yes-i-accept", plan["risk_digest"])

    def memory(self) -> bytes:
        return self.stack.memory(self.ecu, CALIBRATION, SIZE)


def fresh(stack: Stack, name: str) -> Path:
    """A path that does not exist yet."""
    return stack.folder / f"{SEEDS.randbytes(4).hex()}-{name}"


def new_bytes() -> bytes:
    return SEEDS.randbytes(SIZE)


def begin(stack: Stack, ecu: str, *more: str) -> Work:
    """A job with a backup of an ECU, over DoIP."""
    job = stack.json("job", "new", "--customer", "Fleet Ltd", "--vehicle", "Test car")["job"]
    made = stack.json(
        *("backup", "make", "--job", job, "--profile", f"sim-{ecu}"),
        *("--link", stack.link(ecu, "doip"), *more),
    )
    return Work(stack, job, ecu, made["backup"])


@pytest.fixture(scope="module")
def engine(stack: Stack) -> Work:
    return begin(stack, "engine")


def settled(work: Work, plan: dict[str, Any]) -> None:
    """Wait until all gates but the acknowledgment pass."""
    until = time.monotonic() + WAIT_LIMIT_S
    while (ended := work.stack.fieldkit("job", "run", plan["plan"], "--dry-run")).returncode:
        assert time.monotonic() < until, ended.stdout
    assert "Dry run: nothing was written" in ended.stdout


# A write that goes well ---------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["can", "doip"])
def test_a_flash_is_verified_and_the_car_holds_the_file(
    stack: Stack, engine: Work, kind: str
) -> None:
    data = new_bytes()
    plan = engine.plan_flash(data, kind)
    settled(engine, plan)
    ended = engine.run(plan)
    assert ended.returncode == 0, ended.stderr
    assert ended.stderr == ""
    assert "verified. The ECU holds what was planned" in ended.stdout
    assert engine.memory() == data
    view = stack.json("job", "show", engine.job)
    assert view["state"] == "verified"
    assert stack.json("job", "verify", engine.job)["head"] == view["head"]


def test_planning_and_dry_run_send_nothing_but_reads(stack: Stack, engine: Work) -> None:
    mark = stack.mark()
    plan = engine.plan_flash(new_bytes())
    settled(engine, plan)
    assert len(stack.requests(mark)) > 3
    assert stack.writes(mark) == []


def test_json_of_a_run_is_one_object_per_line_and_ends_with_the_outcome(
    stack: Stack, engine: Work
) -> None:
    plan = engine.plan_flash(new_bytes(), "doip")
    settled(engine, plan)
    words = ["job", "run", plan["plan"], "--yes-i-accept", plan["risk_digest"], "--json"]
    ended = stack.with_passphrase(*words)
    assert ended.returncode == 0, ended.stderr
    lines = [json.loads(line) for line in ended.stdout.splitlines()]
    assert [gate["passed"] for gate in lines[0]["gates"]] == [True] * 4
    assert lines[-1]["kind"] == "outcome"
    assert lines[-1]["body"]["outcome"] == "verified"
    assert [line["seq"] for line in lines[1:]] == sorted(line["seq"] for line in lines[1:])


def test_a_plan_runs_once_for_each_acknowledgment_and_the_second_run_is_a_new_one(
    stack: Stack, engine: Work
) -> None:
    data = new_bytes()
    plan = engine.plan_flash(data, "doip")
    settled(engine, plan)
    assert engine.run(plan).returncode == 0
    settled(engine, plan)
    assert engine.run(plan).returncode == 0
    assert engine.memory() == data


# Backups ------------------------------------------------------------------------------------------


def test_a_refusal_of_the_moment_is_not_taken_for_an_ecu_that_cannot_be_read(stack: Stack) -> None:
    job = stack.json("job", "new", "--customer", "Fleet Ltd", "--vehicle", "Test car")["job"]
    words = ["backup", "make", "--job", job, "--profile", "sim-engine"]
    words += ["--link", stack.link("engine", "doip")]
    stack.control(do="fault", ecu="engine", fault="nrc", service=0x23, nrc=0x72)
    ended = stack.fieldkit(*words)
    assert ended.returncode != 0
    assert "0x72" in ended.stderr
    assert stack.json("job", "show", job)["backups"] == []
    assert stack.json(*words)["refused"] == []


# Refusals: nothing but reads in the car's log -----------------------------------------------------


def refused(work: Work, plan: dict[str, Any], gate: str) -> str:
    """Run a plan that a gate must refuse; gives what the person read."""
    mark, before = work.stack.mark(), work.memory()
    ended = work.run(plan)
    assert ended.returncode == REFUSED, ended.stdout + ended.stderr
    assert ended.stderr.startswith(f"{gate}: ")
    assert len(ended.stderr.splitlines()) == 2
    assert work.stack.writes(mark) == []
    assert work.memory() == before
    return ended.stderr


def test_low_voltage_is_refused(stack: Stack, engine: Work) -> None:
    plan = engine.plan_flash(new_bytes())
    stack.volts(12.2)
    assert "Connect a charger" in refused(engine, plan, "VOLTAGE_CHECK")


@pytest.mark.parametrize("fault", ["nak", "frozen", "overflow"])
def test_a_sensor_that_cannot_be_read_is_no_voltage(stack: Stack, engine: Work, fault: str) -> None:
    plan = engine.plan_flash(new_bytes())
    settled(engine, plan)
    stack.control(do="sensor", fault=fault)
    refused(engine, plan, "VOLTAGE_CHECK")


def test_without_a_backup_of_this_job_it_is_refused(stack: Stack, engine: Work) -> None:
    job = stack.json("job", "new", "--customer", "Other", "--vehicle", "Other car")["job"]
    bare = Work(stack, job, "engine", "")
    plan = bare.plan_flash(new_bytes())
    settled_voltage(stack, engine)
    assert "Back the ECU up." in refused(bare, plan, "DUAL_BACKUP")
    assert stack.json("job", "show", job)["state"] == "refused"


def settled_voltage(stack: Stack, engine: Work) -> None:
    settled(engine, engine.plan_flash(new_bytes(), "doip"))


def test_one_flipped_bit_in_one_copy_is_refused_and_repaired(stack: Stack, engine: Work) -> None:
    plan = engine.plan_flash(new_bytes(), "doip")
    settled(engine, plan)
    copies = [stack.state / medium / "fieldkit-backups" / engine.backup for medium in MEDIA]
    victim = max(copies[1].glob("*.age"), key=lambda path: path.stat().st_size)
    whole = victim.read_bytes()
    victim.write_bytes(whole[:5000] + bytes([whole[5000] ^ 1]) + whole[5001:])
    assert "Have the backup verified" in refused(engine, plan, "DUAL_BACKUP")
    verified = stack.json("backup", "verify", engine.backup)
    assert [copy["state"] for copy in verified["copies"]] == ["whole", "repaired"]
    assert victim.read_bytes() == whole
    with stack.client() as client:
        assert [one.verified_backup for one in client.media().media] == [engine.backup] * 2
    assert engine.run(plan).returncode == 0


MEDIA = ("medium-a", "medium-b")


def test_a_medium_that_is_gone_is_refused(stack: Stack, engine: Work) -> None:
    plan = engine.plan_flash(new_bytes(), "doip")
    settled(engine, plan)
    medium = stack.state / MEDIA[0]
    medium.rename(stack.state / "gone")
    try:
        refused(engine, plan, "DUAL_BACKUP")
    finally:
        (stack.state / "gone").rename(medium)


def test_another_risk_text_than_the_plans_is_refused(stack: Stack, engine: Work) -> None:
    plan = engine.plan_flash(new_bytes())
    settled(engine, plan)
    wrong = plan | {"risk_digest": hashlib.sha256(b"another text").hexdigest()}
    assert plan["risk_digest"] in refused(engine, wrong, "USER_ACKNOWLEDGMENT")


def test_nobody_there_to_acknowledge_is_refused(stack: Stack, engine: Work) -> None:
    plan = engine.plan_flash(new_bytes())
    mark = stack.mark()
    ended = stack.with_passphrase("job", "run", plan["plan"])
    assert ended.returncode == REFUSED
    assert f"--yes-i-accept {plan['risk_digest']}" in ended.stderr
    assert stack.writes(mark) == []


def test_a_wrong_passphrase_signs_nothing_and_is_recorded(stack: Stack, engine: Work) -> None:
    plan = engine.plan_flash(new_bytes())
    settled(engine, plan)
    mark = stack.mark()
    with stack.client() as client:
        with pytest.raises(ApiError) as refusal:
            client.run(engine.job, Path(plan["plan"]).read_bytes(), plan["risk_digest"], "x" * 12)
        assert refusal.value.exit_status == REFUSED
        kinds = [event.kind for event in client.events(engine.job)]
    assert stack.writes(mark) == []
    assert "wrong_passphrase" in kinds[-3:]


def test_a_plan_that_this_kit_did_not_make_is_not_run(stack: Stack, engine: Work) -> None:
    plan = engine.plan_flash(new_bytes())
    path = Path(plan["plan"])
    document = path.read_bytes()
    path.write_bytes(document.replace(b'"min_s":0.1', b'"min_s":0.2'))
    assert decode_plan(path.read_bytes()) != decode_plan(document)
    mark = stack.mark()
    ended = engine.run(plan)
    assert ended.returncode == USAGE
    assert "This kit did not make the plan" in ended.stderr
    assert stack.writes(mark) == []


def test_a_link_to_another_ecu_than_the_profiles_is_refused(stack: Stack, engine: Work) -> None:
    ended = stack.fieldkit(
        *("plan", "flash", str(engine.container(new_bytes())), "--job", engine.job),
        *("--profile", "sim-engine", "--link", stack.link("gearbox", "can")),
    )
    assert ended.returncode == USAGE
    assert "is not the address" in ended.stderr


def test_a_damaged_file_is_refused_before_any_bus_traffic(stack: Stack, engine: Work) -> None:
    path = engine.container(new_bytes())
    text = path.read_text()
    path.write_text(text[:4000] + ("0" if text[4000] != "0" else "1") + text[4001:])
    mark = stack.mark()
    ended = stack.fieldkit(
        *("plan", "flash", str(path), "--job", engine.job, "--profile", "sim-engine"),
        *("--link", stack.link("engine", "can")),
    )
    assert ended.returncode == BAD_INPUT
    assert re.search(r"line \d+, offset 0x", ended.stderr)
    assert stack.requests(mark) == []


def test_a_link_that_leads_nowhere_is_unavailable(stack: Stack, engine: Work) -> None:
    ended = stack.fieldkit(
        *("identify", "--profile", "sim-engine"),
        *("--link", "doip://127.0.0.1:1?target=0x0010&source=0x0E00"),
    )
    assert ended.returncode == UNAVAILABLE
    assert len(ended.stderr.splitlines()) == 2


# Sags, cuts, kills --------------------------------------------------------------------------------


def test_a_sag_holds_the_write_and_it_goes_on_by_itself(stack: Stack, engine: Work) -> None:
    data = new_bytes()
    plan = engine.plan_flash(data)
    settled(engine, plan)
    stack.when_blocks("engine", 3, do="sag", volts=11.5, for_s=1.0)
    ended = engine.run(plan)
    assert ended.returncode == 0, ended.stderr
    gates = re.findall(r"gate (\w+) at ([\d.]+) V", ended.stdout)
    assert [state for state, _ in gates] == ["OPEN", "HELD", "OPEN", "CLOSED"]
    assert float(gates[1][1]) < 12.0
    assert engine.memory() == data


def test_a_cut_waits_for_a_new_acknowledgment_and_then_finishes(stack: Stack, engine: Work) -> None:
    data = new_bytes()
    plan = engine.plan_flash(data)
    settled(engine, plan)
    stack.when_blocks("engine", 3, do="sag", volts=10.6, for_s=0.5)
    ended = engine.run(plan)
    assert ended.returncode == ABORTED, ended.stdout
    assert f"fieldkit job resume {engine.job}" in ended.stderr
    risk = ["--yes-i-accept", plan["risk_digest"]]
    resumed = stack.with_passphrase("job", "resume", engine.job, *risk)
    assert resumed.returncode == 0, resumed.stderr
    assert engine.memory() == data
    assert stack.with_passphrase("job", "resume", engine.job, *risk).returncode == REFUSED


def test_an_aborted_write_is_recovered(stack: Stack, engine: Work) -> None:
    data = new_bytes()
    plan = engine.plan_flash(data)
    settled(engine, plan)
    mark = stack.mark()
    with engine.start(plan) as process:
        stack.wait_for_block("engine", mark)
        assert stack.fieldkit("job", "abort", engine.job).returncode == 0
        _, errors = process.communicate(timeout=WAIT_LIMIT_S)
        assert process.returncode == ABORTED, errors
    assert stack.json("job", "show", engine.job)["state"] == "aborted_recoverable"
    recover(engine)
    assert engine.memory() == data


def recover(work: Work) -> None:
    """`job recover`, as a script does it: the first try tells the digest of the risk."""
    asked = work.stack.with_passphrase("job", "recover", work.job)
    assert asked.returncode == REFUSED, asked.stderr
    digest = re.search(r"--yes-i-accept ([0-9a-f]{64})", asked.stderr)
    assert digest is not None
    settle_for_recovery(work, digest[1])
    view = work.stack.json("job", "show", work.job)
    assert view["state"] == "verified"
    assert view["run"] == ""


def settle_for_recovery(work: Work, digest: str) -> None:
    until = time.monotonic() + WAIT_LIMIT_S
    while True:
        ended = work.stack.with_passphrase("job", "recover", work.job, "--yes-i-accept", digest)
        if ended.returncode == 0:
            return
        assert "VOLTAGE_CHECK" in ended.stderr, ended.stderr
        assert time.monotonic() < until


def test_the_write_outlives_the_appliance_and_its_record_is_completed_afterwards(
    stack: Stack, engine: Work
) -> None:
    data = new_bytes()
    plan = engine.plan_flash(data)
    settled(engine, plan)
    mark = stack.mark()
    with engine.start(plan) as process:
        stack.wait_for_block("engine", mark)
        stack.kill("appliance")
        _, errors = process.communicate(timeout=WAIT_LIMIT_S)
    assert process.returncode == UNAVAILABLE
    assert "It goes on by itself." in errors
    stack.unlock()
    events = until_the_end(stack, engine.job, plan["digest"])
    assert events[-1].body["outcome"] == "verified"
    assert engine.memory() == data
    run = events[-1].run
    told = [event.kind for event in events if event.run == run]
    assert told == ["write_started", *kinds_in_the_journal(stack, run), "write_ended"]
    assert stack.json("job", "verify", engine.job)["job"] == engine.job


def until_the_end(stack: Stack, job: str, digest: str) -> list[JobEvent]:
    """A job's events up to the end of the newest run of a plan."""
    events: list[JobEvent] = []
    runs: set[str] = set()
    with stack.client() as client:
        for event in client.events(job, follow=True):
            events.append(event)
            if event.kind == "write_started" and event.body["plan_digest"] == digest:
                runs.add(event.run)
            if event.kind == "write_ended" and event.run in runs:
                break
    return events


def kinds_in_the_journal(stack: Stack, run: str) -> list[str]:
    """What hw's own journal holds of a run."""
    hw = HwClient(stack.run / "hw.sock", "test")
    hw.connect()
    try:
        found: list[str] = []
        while page := hw.run_log(run, len(found)):
            found += [str(body.__struct_config__.tag) for _, body in page]
        return found
    finally:
        hw.close()


def test_killed_hw_leaves_a_journal_from_which_the_write_is_recovered(
    stack: Stack, engine: Work
) -> None:
    data = new_bytes()
    plan = engine.plan_flash(data)
    settled(engine, plan)
    mark = stack.mark()
    with engine.start(plan) as process:
        stack.wait_for_block("engine", mark)
        stack.kill("hw")
        output, errors = process.communicate(timeout=WAIT_LIMIT_S)
    assert process.returncode == ABORTED, output + errors
    assert f"fieldkit job recover {engine.job}" in errors
    assert engine.memory() != data
    recover(engine)
    assert engine.memory() == data


# Coding, restore, an ECU that refuses to be read --------------------------------------------------


def test_coding_changes_the_named_field_and_nothing_else(stack: Stack) -> None:
    known = fresh(stack, "known-good.bin")
    known.write_bytes(new_bytes())
    body = begin(stack, "body", "--known-good", str(known))
    before = coding(stack, "body")
    field, value = next(
        (name, "on" if word == "off" else "off")
        for name, word in before["fields"].items()
        if word in ("on", "off")
    )
    plan = stack.json(
        *("plan", "code", f"0x0600.{field}={value}", "--job", body.job),
        *("--profile", "sim-body", "--link", stack.link("body", "can")),
        *("--out", str(fresh(stack, "plan"))),
    )
    settled(body, plan)
    mark = stack.mark()
    ended = body.run(plan)
    assert ended.returncode == 0, ended.stderr
    assert [text[:6] for text in stack.writes(mark) if text.startswith("2e")] == ["2e0600"]
    after = coding(stack, "body")
    assert after["fields"] == before["fields"] | {field: value}


def coding(stack: Stack, ecu: str) -> dict[str, Any]:
    identity = stack.json("identify", "--profile", f"sim-{ecu}", "--link", stack.link(ecu, "can"))
    return next(value for value in identity["values"] if value["did"] == 0x0600)


def test_a_backup_is_restored_with_all_gates(stack: Stack, engine: Work) -> None:
    restored = begin(stack, "engine")
    original = restored.memory()
    flash = restored.plan_flash(new_bytes(), "doip")
    settled(restored, flash)
    assert restored.run(flash).returncode == 0
    assert restored.memory() != original
    plan = stack.json(
        *("backup", "restore", restored.backup, "--job", restored.job),
        *("--profile", "sim-engine", "--link", stack.link("engine", "doip")),
        *("--out", str(fresh(stack, "plan"))),
    )
    settled(restored, plan)
    ended = restored.run(plan)
    assert ended.returncode == 0, ended.stderr
    assert restored.memory() == original


def test_an_ecu_that_refuses_to_be_read_needs_a_known_good_file(stack: Stack) -> None:
    job = stack.json("job", "new", "--customer", "Fleet Ltd", "--vehicle", "Automatic")["job"]
    words = ["backup", "make", "--job", job, "--profile", "sim-gearbox"]
    link = ["--link", stack.link("gearbox", "can")]
    ended = stack.fieldkit(*words, *link)
    assert ended.returncode == REFUSED
    assert "--known-good" in ended.stderr
    known = fresh(stack, "known-good.bin")
    known.write_bytes(new_bytes())
    gearbox = begin(stack, "gearbox", "--known-good", str(known))
    data = new_bytes()
    plan = gearbox.plan_flash(data)
    settled(gearbox, plan)
    ended = gearbox.run(plan)
    assert ended.returncode == 0, ended.stderr
    assert gearbox.memory() == data


def test_a_profile_is_used_once_the_workshop_signed_it(stack: Stack) -> None:
    folder = stack.folder / "profiles of mine"
    folder.mkdir()
    file = folder / "my-cluster.toml"
    shipped = (stack.state / "profiles" / "sim-cluster.toml").read_text()
    file.write_text(shipped.replace('name = "sim-cluster"', 'name = "my-cluster"'))
    words = ["identify", "--link", stack.link("cluster", "can"), "--profile"]
    unsigned = stack.fieldkit(*words, "profiles of mine/my-cluster.toml")
    assert unsigned.returncode == BAD_INPUT
    assert "is not signed" in unsigned.stderr
    signed = stack.with_passphrase("profile", "sign", str(file), "--install")
    assert signed.returncode == 0, signed.stderr
    for name in ("profiles of mine/my-cluster.toml", "my-cluster"):
        assert stack.json(*words, name)["profile"] == "my-cluster"
    file.write_text(shipped.replace("tx = 0x714", "tx = 0x999"))
    wrong = stack.with_passphrase("profile", "sign", str(file))
    assert wrong.returncode == BAD_INPUT
    assert re.search(r"line \d+, key addresses", wrong.stderr)


# What is left behind ------------------------------------------------------------------------------


def test_an_export_has_a_report_and_opens_with_stock_tools(stack: Stack, engine: Work) -> None:
    folder = fresh(stack, "export")
    assert stack.fieldkit("job", "export", engine.job, "--to", str(folder)).returncode == 0
    checked = subprocess.run(
        ["sha256sum", "--check", "--quiet", "SHA256SUMS"],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )
    assert checked.returncode == 0, checked.stdout + checked.stderr
    words = subprocess.run(
        ["pdftotext", "-q", folder / "report.pdf", "-"],
        capture_output=True,
        text=True,
        check=True,
        timeout=30,
    ).stdout
    assert "verified" in words
    assert "SIMULATED" in words


def test_a_backup_is_opened_by_the_kit_and_by_stock_age_alike(stack: Stack, engine: Work) -> None:
    folder = fresh(stack, "opened")
    ended = stack.with_passphrase("backup", "open", engine.backup, "--to", str(folder))
    assert ended.returncode == 0, ended.stderr
    key = fresh(stack, "recovery.key")
    key.write_text(f"{stack.recovery_key}\n")
    copy = stack.state / MEDIA[0] / "fieldkit-backups" / engine.backup
    for item in copy.glob("*.age"):
        target = fresh(stack, "by-age")
        target.mkdir()
        plain = subprocess.run(
            ["age", "-d", "-i", key, item], capture_output=True, check=True, timeout=30
        ).stdout
        subprocess.run(["tar", "-x", "-C", target], input=plain, check=True, timeout=30)
        (inside,) = target.iterdir()
        for path in inside.iterdir():
            assert path.read_bytes() == (folder / inside.name / path.name).read_bytes()
    shutil.rmtree(folder)


def test_nothing_secret_is_readable_in_the_state_folder(stack: Stack, engine: Work) -> None:
    data = new_bytes()
    plan = engine.plan_flash(data, "doip")
    settled(engine, plan)
    assert engine.run(plan).returncode == 0
    secrets = [VIN, PASSPHRASE.encode(), data[:64], data[-64:], b"Fleet Ltd", VIN.hex().encode()]
    files = [path for path in stack.state.rglob("*") if path.is_file()]
    assert len(files) > 20
    found = [
        (path.relative_to(stack.state), secret)
        for path in files
        for secret in secrets
        if secret in path.read_bytes()
    ]
    assert found == []


def test_a_locked_kit_shows_its_status_and_nothing_else(stack: Stack, engine: Work) -> None:
    assert stack.fieldkit("lock").returncode == 0
    try:
        assert stack.json("status")["locked"] is True
        ended = stack.fieldkit("job", "list")
        assert ended.returncode == REFUSED
        assert ended.stderr.splitlines()[1] == "Unlock it. ('fieldkit unlock TECHNICIAN')"
    finally:
        ended = stack.with_passphrase("unlock", TECHNICIAN)
    assert ended.stdout == f"The kit is unlocked by {TECHNICIAN}.\n"
    assert stack.json("job", "show", engine.job)["job"] == engine.job


def test_doctor_finds_everything_in_place(stack: Stack) -> None:
    told = stack.json("doctor")
    assert told["ready"] is True
    assert {check["name"] for check in told["checks"]} >= {
        "configuration",
        "hw",
        "voltage sensor",
        "medium A",
        "medium B",
        "two media",
        "profiles",
        "clock",
    }


def test_a_file_on_a_stick_is_planned_over_a_link_that_was_chosen(stack: Stack) -> None:
    with stack.client() as client:
        links = {link.name: link for link in client.links().links}
        assert links["Whole vehicle, DoIP (simulated)"].discovery
        link = links["engine, CAN (simulated)"]
        assert (link.uri, link.discovery) == (stack.link("engine", "can"), False)
        (stick,) = client.sticks().sticks
        (entry,) = client.stick_files(stick.folder).entries
        content = Path(entry.path).read_bytes()
        job = client.job_new("Fleet Ltd", "Golf").job
        mark = stack.mark()
        asked = PlanFlash(link=link.uri, profile="sim-engine", job=job, path=entry.path)
        chosen = client.plan_flash(asked)
        sent = client.plan_flash(
            PlanFlash(
                link=link.uri, profile="sim-engine", job=job, name=entry.name, content=content
            )
        )
        assert (chosen.title, chosen.description) == (sent.title, sent.description)
        assert stack.writes(mark) == []
        assert content in [item.content for item in client.job_export(job).files]
        folder = client.job_export_onto(job, stick.folder).folder
        assert content in [
            path.read_bytes() for path in Path(stick.folder, folder).rglob("*") if path.is_file()
        ]
