"""One ECU: sessions, security, memory, programming and what a bad supply does to it."""

from __future__ import annotations

import asyncio
import zlib
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hw import clock
from hw.sim.ecu import LOCKOUT_S, Fault
from hw.sim.fleet import BODY, CLUSTER, ENGINE, FLEET, GEARBOX, EcuDefinition
from tests.hw.sim.bench import Bench, cmac_key, run, sa2_key

SECTOR = "4400008000" + "00002000"
SECTOR_CRC_ERASED = f"{zlib.crc32(bytes([0xFF]) * 0x2000):08x}"


@pytest.fixture
def elapsed(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Seconds by which the ECU's clock is ahead."""
    ahead, real = [0.0], clock.now
    monkeypatch.setattr(clock, "now", lambda: real() + ahead[0])
    return ahead


# Identification and sessions ------------------------------------------------------------------


@pytest.mark.parametrize("definition", FLEET, ids=lambda each: each.name)
def test_the_application_answers_every_did_of_its_table(
    definition: EcuDefinition, tmp_path: Path
) -> None:
    async def scenario() -> None:
        bench = Bench(definition, tmp_path)
        for did in definition.dids:
            assert await bench.ask(f"22{did.did:04x}") == f"62{did.did:04x}{did.value.hex()}"
        assert await bench.ask("22f186") == "62f18601"
        assert await bench.ask("220bad") == "7f2231"

    run(scenario())


def test_the_boot_loader_answers_what_is_in_boot(tmp_path: Path) -> None:
    async def scenario() -> None:
        bench = Bench(ENGINE, tmp_path)
        assert (await bench.ask("1002")).startswith("5002")
        for did in (0xF180, 0xF18C, 0xF191, 0xF186):
            assert (await bench.ask(f"22{did:04x}")).startswith(f"62{did:04x}")
        for did in (0xF187, 0xF188, 0xF189, 0xF190, 0x0600):
            assert await bench.ask(f"22{did:04x}") == "7f2231"

    run(scenario())


def _switched_off(bench: Bench) -> tuple[bool, bool]:
    """Communication and DTC setting."""
    return bench.ecu.state.communication_off, bench.ecu.state.dtc_setting_off


def test_s3_does_not_run_while_a_long_message_arrives(tmp_path: Path, elapsed: list[float]) -> None:
    async def scenario() -> None:
        bench = Bench(ENGINE, tmp_path)
        await bench.ask("1003")
        for _ in range(3):
            elapsed[0] += 4.0
            bench.ecu.hear()
        assert await bench.ask("22f186") == "62f18603"
        elapsed[0] += 5.1
        bench.ecu.hear()
        assert await bench.ask("22f186") == "62f18601"

    run(scenario())


def test_a_session_that_nobody_keeps_alive_ends_after_s3(
    tmp_path: Path, elapsed: list[float]
) -> None:
    async def scenario() -> None:
        bench = Bench(ENGINE, tmp_path)
        await bench.ask("1003")
        await bench.ask("8502")
        await bench.ask("280301")
        assert await bench.unlock(0x03) == "6704"
        elapsed[0] += 4.5
        assert await bench.ask("3e80") == ""
        elapsed[0] += 4.5
        assert await bench.ask("22f186") == "62f18603"
        assert _switched_off(bench) == (True, True)
        elapsed[0] += 5.5
        assert await bench.ask("22f186") == "62f18601"
        assert _switched_off(bench) == (False, False)
        assert await bench.ask("2e0600ffffffff") == "7f2e7f"

    run(scenario())


def test_the_default_session_undoes_communication_control_and_dtc_setting(tmp_path: Path) -> None:
    async def scenario() -> None:
        bench = Bench(ENGINE, tmp_path)
        assert await bench.ask("280301") == "7f287f"
        assert await bench.ask("8502") == "7f857f"
        await bench.ask("1003")
        assert await bench.ask("280301") == "6803"
        assert await bench.ask("8502") == "c502"
        await bench.ask("1002")
        assert _switched_off(bench) == (True, True)
        await bench.ask("1001")
        assert _switched_off(bench) == (False, False)

    run(scenario())


def test_an_ecu_without_flash_has_no_programming_session(tmp_path: Path) -> None:
    async def scenario() -> None:
        assert await Bench(BODY, tmp_path).ask("1002") == "7f1012"

    run(scenario())


def test_trouble_codes_are_read_by_status_and_cleared(tmp_path: Path) -> None:
    async def scenario() -> None:
        bench = Bench(ENGINE, tmp_path)
        assert await bench.ask("1902ff") == "5902ff0301002f05620028"
        assert await bench.ask("190201") == "5902ff0301002f"
        assert await bench.ask("14ffffff") == "54"
        assert await bench.ask("1902ff") == "5902ff"

    run(scenario())


# Security -------------------------------------------------------------------------------------


def test_the_engine_takes_the_constant_xor_key(tmp_path: Path) -> None:
    async def scenario() -> None:
        bench = Bench(ENGINE, tmp_path)
        await bench.ask("1003")
        for level in (0x01, 0x03):
            assert await bench.unlock(level) == f"67{level + 1:02x}"
            assert await bench.ask(f"27{level:02x}") == f"67{level:02x}00000000"

    run(scenario())


def test_the_gearbox_takes_the_key_that_its_sa2_script_says(tmp_path: Path) -> None:
    async def scenario() -> None:
        bench = Bench(GEARBOX, tmp_path)
        await bench.ask("1002")
        for _ in range(20):
            seed = bytes.fromhex((await bench.ask("2711"))[4:])
            assert await bench.ask(f"2712{sa2_key(seed).hex()}") == "6712"
            await bench.ask("1002")

    run(scenario())


def test_the_body_takes_the_cmac_of_its_16_byte_seed(tmp_path: Path) -> None:
    async def scenario() -> None:
        bench = Bench(BODY, tmp_path)
        await bench.ask("1003")
        seed = bytes.fromhex((await bench.ask("2703"))[4:])
        assert len(seed) == 16
        assert await bench.ask(f"2704{cmac_key(seed).hex()}") == "6704"

    run(scenario())


def test_three_wrong_keys_lock_the_ecu_for_a_while(tmp_path: Path, elapsed: list[float]) -> None:
    async def scenario() -> None:
        bench = Bench(CLUSTER, tmp_path)
        await bench.ask("1003")
        for expected in ("7f2735", "7f2735", "7f2736"):
            await bench.ask("2703")
            assert await bench.ask("2704deadbeef") == expected
        assert await bench.ask("2703") == "7f2737"
        bench.ecu.reset()
        elapsed[0] += LOCKOUT_S - 2
        await bench.ask("1003")
        assert await bench.ask("2703") == "7f2737"
        elapsed[0] += 2.5
        assert await bench.unlock(0x03) == "6704"

    run(scenario())


def test_a_right_key_forgives_the_wrong_ones(tmp_path: Path) -> None:
    async def scenario() -> None:
        bench = Bench(ENGINE, tmp_path)
        await bench.ask("1003")
        for _ in range(4):
            await bench.ask("2703")
            assert await bench.ask("2704deadbeef") == "7f2735"
            assert await bench.unlock(0x03) == "6704"
            await bench.ask("1003")

    run(scenario())


def test_a_key_needs_its_seed_and_a_level_its_session(tmp_path: Path) -> None:
    async def scenario() -> None:
        bench = Bench(ENGINE, tmp_path)
        assert await bench.ask("2703") == "7f277e"
        await bench.ask("1003")
        assert await bench.ask("270400000000") == "7f2724"
        assert await bench.ask("2711") == "7f277e"
        assert await bench.ask("2707") == "7f2712"

    run(scenario())


# Coding ---------------------------------------------------------------------------------------


def test_coding_is_written_in_the_extended_session_after_unlocking(tmp_path: Path) -> None:
    async def scenario() -> None:
        bench = Bench(ENGINE, tmp_path)
        assert await bench.ask("2e060001020304") == "7f2e7f"
        await bench.ask("1003")
        assert await bench.ask("2e060001020304") == "7f2e33"
        await bench.unlock(0x03)
        assert await bench.ask("2e0600010203") == "7f2e13"
        assert await bench.ask("2ef19000") == "7f2e31"
        assert await bench.ask("2e060001020304") == "6e0600"
        bench.ecu.reset()
        assert bench.ecu.dids[0x0600] == bytes.fromhex("01020304")

    run(scenario())


# Memory ---------------------------------------------------------------------------------------


def test_memory_is_read_after_unlocking_only(tmp_path: Path) -> None:
    async def scenario() -> None:
        bench = Bench(ENGINE, tmp_path)
        request = "23" + "44" + "00f00000" + "00000010"
        await bench.ask("1003")
        assert await bench.ask(request) == "7f2333"
        await bench.unlock(0x01)
        truth = bench.ecu.flashes[2].read(0x00F00000, 0x10).hex()
        assert await bench.ask(request) == "63" + truth
        assert await bench.ask("2344" + "00f00ff8" + "00000010") == "7f2331"
        assert await bench.ask("2344" + "00f00000" + "00000ffe", "can") == "7f2331"

    run(scenario())


@pytest.mark.parametrize(("definition", "nrc"), [(GEARBOX, "33"), (BODY, "11")])
def test_an_ecu_may_refuse_its_memory_in_any_session(
    definition: EcuDefinition, nrc: str, tmp_path: Path
) -> None:
    async def scenario() -> None:
        bench = Bench(definition, tmp_path)
        for session in ("1001", "1003"):
            await bench.ask(session)
            assert await bench.ask("23440000800000000010") == f"7f23{nrc}"
            assert await bench.ask("3500440000800000000010") == f"7f35{nrc}"

    run(scenario())


def test_an_upload_brings_the_region(tmp_path: Path) -> None:
    async def scenario() -> None:
        bench = Bench(ENGINE, tmp_path)
        await bench.ask("1003")
        await bench.unlock(0x01)
        assert await bench.ask("350044" + "00008000" + "00002000", "can") == "75200ffe"
        got = ""
        for counter in (1, 2, 3):
            got += (await bench.ask(f"36{counter:02x}", "can"))[4:]
        assert bytes.fromhex(got) == bench.ecu.flashes[0].read(0x8000, 0x2000)
        assert await bench.ask("37", "can") == "77"

    run(scenario())


# Programming ----------------------------------------------------------------------------------


async def _download(bench: Bench, data: bytes) -> None:
    assert await bench.ask("3101ff00" + SECTOR) == "7101ff0000"
    assert await bench.ask("340044" + "00008000" + f"{len(data):08x}") == "7420fffe"
    assert await bench.ask("3601" + data.hex()) == "7601"
    assert await bench.ask("37") == "77"


def test_a_whole_download_makes_the_application_valid_again(tmp_path: Path) -> None:
    data = bytes(range(256)) * 0x20

    async def scenario() -> None:
        bench = Bench(ENGINE, tmp_path)
        await bench.enter_programming()
        await _download(bench, data)
        assert not bench.ecu.app_valid
        assert await bench.ask("3101ff01") == "7101ff0101"
        wrong = await bench.ask("31010202" + SECTOR + SECTOR_CRC_ERASED)
        assert wrong == "7101020201"
        right = await bench.ask("31010202" + SECTOR + f"{zlib.crc32(data):08x}")
        assert right == "7101020200"
        assert await bench.ask("3101ff01") == "7101ff0100"
        assert await bench.ask("1101") == "5101"
        assert not bench.ecu.is_alive()
        assert not bench.ecu.in_boot
        assert bench.ecu.flashes[0].read(0x8000, len(data)) == data

    run(scenario())


def test_an_application_that_is_not_valid_leaves_the_boot_loader(
    tmp_path: Path, elapsed: list[float]
) -> None:
    async def scenario() -> None:
        bench = Bench(ENGINE, tmp_path)
        await bench.enter_programming()
        await bench.ask("3101ff00" + SECTOR)
        await bench.ask("1101")
        assert await bench.ask("3e00") == ""
        elapsed[0] += ENGINE.boot_s
        assert await bench.ask("3e00") == "7e00"
        assert bench.ecu.in_boot
        assert await bench.ask("22f190") == "7f2231"
        assert (await bench.ask("22f18c")).startswith("62f18c")
        await bench.enter_programming()
        assert await bench.ask("31010202" + SECTOR + SECTOR_CRC_ERASED) == "7101020200"
        assert bench.ecu.app_valid

    run(scenario())


@pytest.mark.parametrize(
    "request_hex",
    ["3101ff00" + SECTOR, "31010202" + SECTOR + "00000000", "340044" + SECTOR[2:]],
)
def test_programming_needs_session_and_unlock(request_hex: str, tmp_path: Path) -> None:
    async def scenario() -> None:
        bench = Bench(ENGINE, tmp_path)
        await bench.ask("1003")
        assert await bench.ask(request_hex) == f"7f{request_hex[:2]}7f"
        await bench.ask("1002")
        assert await bench.ask(request_hex) == f"7f{request_hex[:2]}33"
        assert bench.ecu.app_valid

    run(scenario())


def test_flash_that_is_not_erased_is_a_programming_failure(tmp_path: Path) -> None:
    async def scenario() -> None:
        bench = Bench(ENGINE, tmp_path)
        await bench.enter_programming()
        before = bytes(bench.ecu.flashes[0].data)
        await bench.ask("340044" + "00008000" + "00000004")
        assert await bench.ask("360101020304") == "7f3672"
        assert bench.ecu.flashes[0].data == before

    run(scenario())


def test_block_counters_are_checked_and_a_repeat_writes_nothing(tmp_path: Path) -> None:
    async def scenario() -> None:
        bench = Bench(ENGINE, tmp_path)
        await bench.enter_programming()
        await bench.ask("3101ff00" + SECTOR)
        assert await bench.ask("3601aa") == "7f3624"
        await bench.ask("340044" + "00008000" + "00000003")
        assert await bench.ask("3602aa") == "7f3673"
        assert await bench.ask("3601aa") == "7601"
        assert await bench.ask("3601aa") == "7601"
        assert await bench.ask("3603bb") == "7f3673"
        assert await bench.ask("37") == "7f3724"
        assert await bench.ask("3602bbccdd") == "7f3671"
        assert await bench.ask("3602bbcc") == "7602"
        assert await bench.ask("37") == "77"
        assert bench.ecu.flashes[0].read(0x8000, 4) == bytes.fromhex("aabbccff")

    run(scenario())


def test_the_block_counter_goes_round(tmp_path: Path) -> None:
    async def scenario() -> None:
        bench = Bench(ENGINE, tmp_path)
        await bench.enter_programming()
        await bench.ask("3101ff00" + SECTOR)
        await bench.ask("340044" + "00008000" + "00000102")
        for number in range(1, 0x103):
            counter = number & 0xFF
            assert await bench.ask(f"36{counter:02x}{counter:02x}") == f"76{counter:02x}"
        assert await bench.ask("37") == "77"

    run(scenario())


@pytest.mark.parametrize(
    ("request_hex", "nrc"),
    [
        ("341144" + "00008000" + "00000004", "31"),  # compressed or encrypted
        ("340044" + "00f00000" + "00000004", "31"),  # read only
        ("340044" + "00010000" + "00008001", "31"),  # beyond the region
        ("3101ff0044" + "00f00000" + "00001000", "31"),
        ("3101beef", "31"),
        ("3102ff00" + SECTOR, "12"),
        ("3400", "13"),
    ],
)
def test_what_the_memory_does_not_have_is_refused(
    request_hex: str, nrc: str, tmp_path: Path
) -> None:
    async def scenario() -> None:
        bench = Bench(ENGINE, tmp_path)
        await bench.enter_programming()
        assert await bench.ask(request_hex) == f"7f{request_hex[:2]}{nrc}"
        assert bench.ecu.app_valid

    run(scenario())


# Supply ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(("volts", "nrc"), [(9.8, "93"), (15.8, "92")])
def test_outside_the_voltage_window_nothing_is_erased_or_written(
    volts: float, nrc: str, tmp_path: Path
) -> None:
    async def scenario() -> None:
        bench = Bench(ENGINE, tmp_path)
        await bench.enter_programming()
        before = bytes(bench.ecu.flashes[0].data)
        bench.battery.sag(volts, 60)
        assert await bench.ask("3101ff00" + SECTOR) == f"7f31{nrc}"
        assert await bench.ask("340044" + SECTOR[2:]) == f"7f34{nrc}"
        assert bench.ecu.flashes[0].data == before
        bench.battery.set_open_circuit(13.0)
        await bench.ask("3101ff00" + SECTOR)
        await bench.ask("340044" + SECTOR[2:])
        bench.battery.sag(volts, 60)
        assert await bench.ask("3601aa") == f"7f36{nrc}"
        assert bench.ecu.flashes[0].read(0x8000, 1) == b"\xff"
        bench.battery.set_open_circuit(13.0)
        assert await bench.ask("3601aa") == "7601"

    run(scenario())


async def _dip_during(bench: Bench, request: str, volts: float) -> str:
    """Let the supply dip once the ECU draws its flash current."""
    dipped = asyncio.Event()
    load_v = bench.battery.volts

    def watch(now_v: float) -> None:
        if now_v < load_v and not dipped.is_set():
            dipped.set()
            asyncio.get_running_loop().call_soon(bench.battery.sag, volts, 60)

    bench.battery.watch(watch)
    answer = await bench.ask(request)
    assert dipped.is_set()
    return answer


def test_a_dip_while_erasing_spoils_the_sector_and_resets_the_ecu(tmp_path: Path) -> None:
    async def scenario() -> None:
        bench = Bench(ENGINE, tmp_path, erase_s=0.05)
        await bench.enter_programming()
        assert await _dip_during(bench, "3101ff00" + SECTOR, 8.9) == ""
        assert not bench.ecu.app_valid
        assert bench.ecu.in_boot
        assert bench.ecu.state.session == 0x01
        sector = bench.ecu.flashes[0].read(0x8000, 0x2000)
        assert sector != bytes([0xFF]) * 0x2000

    run(scenario())


def test_a_dip_while_programming_spoils_the_sector_and_resets_the_ecu(tmp_path: Path) -> None:
    async def scenario() -> None:
        bench = Bench(ENGINE, tmp_path, program_s_per_kib=0.05)
        await bench.enter_programming()
        await bench.ask("3101ff00" + SECTOR)
        await bench.ask("340044" + SECTOR[2:])
        assert await _dip_during(bench, "3601" + "ab" * 0x400, 8.9) == ""
        assert not bench.ecu.app_valid
        sector = bench.ecu.flashes[0].read(0x8000, 0x2000)
        assert sector.count(0xFF) < 0x1000
        assert sector[:0x400] != b"\xab" * 0x400

    run(scenario())


def test_a_dip_that_stays_above_nine_volts_spoils_nothing(tmp_path: Path) -> None:
    async def scenario() -> None:
        bench = Bench(ENGINE, tmp_path, erase_s=0.05)
        await bench.enter_programming()
        assert await _dip_during(bench, "3101ff00" + SECTOR, 9.1) == "7101ff0000"
        assert bench.ecu.flashes[0].read(0x8000, 0x2000) == bytes([0xFF]) * 0x2000

    run(scenario())


def test_the_same_dip_with_idle_flash_spoils_nothing(tmp_path: Path) -> None:
    async def scenario() -> None:
        bench = Bench(ENGINE, tmp_path)
        bench.battery.sag(8.0, 60)
        assert bench.ecu.app_valid
        assert (await bench.ask("22f190")).startswith("62f190")

    run(scenario())


def test_without_a_battery_the_ecu_is_dead_and_starts_anew(
    tmp_path: Path, elapsed: list[float]
) -> None:
    async def scenario() -> None:
        bench = Bench(ENGINE, tmp_path)
        await bench.ask("1003")
        bench.battery.set_open_circuit(0.0)
        elapsed[0] += 60
        assert await bench.ask("3e00") == ""
        bench.battery.set_open_circuit(13.0)
        elapsed[0] += 1
        assert await bench.ask("22f186") == "62f18601"

    run(scenario())


# Time and faults ------------------------------------------------------------------------------


def test_work_longer_than_p2_is_announced_as_pending(tmp_path: Path) -> None:
    async def scenario() -> None:
        bench = Bench(ENGINE, tmp_path, erase_s=0.1)
        await bench.enter_programming()
        bench.sent.clear()
        await bench.ask("3101ff00" + SECTOR)
        assert bench.sent == ["7f3178", "7101ff0000"]

    run(scenario())


def test_quick_work_is_not_announced(tmp_path: Path) -> None:
    async def scenario() -> None:
        bench = Bench(ENGINE, tmp_path)
        await bench.ask("22f190")
        assert len(bench.sent) == 1

    run(scenario())


@pytest.mark.parametrize(
    ("fault", "answers"),
    [
        (Fault("busy", 0x3E, count=2), [["7f3e21"], ["7f3e21"], ["7e00"]]),
        (Fault("nrc", 0x3E, nrc=0x22), [["7f3e22"], ["7e00"], ["7e00"]]),
        (Fault("wrong_counter", 0x3E), [["7f3e73"], ["7e00"], ["7e00"]]),
        (Fault("drop_answer", 0x3E), [[], ["7e00"], ["7e00"]]),
        (Fault("late_answer", 0x3E, seconds=0.01), [["7e00"], ["7e00"], ["7e00"]]),
        (Fault("pending", 0x3E, seconds=0.01), [["7f3e78", "7e00"], ["7e00"], ["7e00"]]),
        (Fault("reset", 0x3E), [[], [], []]),
        (Fault("nrc", 0x22, nrc=0x10), [["7e00"], ["7e00"], ["7e00"]]),
    ],
    ids=lambda value: value.kind if isinstance(value, Fault) else None,
)
def test_a_fault_is_shown_as_often_as_asked_for(
    fault: Fault, answers: list[list[str]], tmp_path: Path
) -> None:
    async def scenario() -> None:
        bench = Bench(ENGINE, tmp_path)
        bench.ecu.faults.append(fault)
        for expected in answers:
            bench.sent.clear()
            await bench.ask("3e00")
            assert bench.sent == expected

    run(scenario())


def test_a_dropped_answer_leaves_the_work_done(tmp_path: Path) -> None:
    async def scenario() -> None:
        bench = Bench(ENGINE, tmp_path)
        await bench.enter_programming()
        await bench.ask("3101ff00" + SECTOR)
        await bench.ask("340044" + SECTOR[2:])
        bench.ecu.faults.append(Fault("drop_answer", 0x36))
        bench.sent.clear()
        await bench.ask("3601aabb")
        assert bench.sent == []
        assert bench.ecu.flashes[0].read(0x8000, 3) == bytes.fromhex("aabbff")
        assert await bench.ask("3601aabb") == "7601"
        assert bench.ecu.flashes[0].read(0x8000, 3) == bytes.fromhex("aabbff")

    run(scenario())


# Anything at all ------------------------------------------------------------------------------


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=200)
@given(
    requests=st.lists(st.binary(max_size=16), max_size=6),
    prefix=st.sampled_from(["", "1003", "1002"]),
)
def test_any_bytes_get_a_well_formed_answer_or_silence(
    requests: list[bytes], prefix: str, tmp_path: Path
) -> None:
    async def scenario() -> None:
        bench = Bench(CLUSTER, tmp_path)
        await bench.ask(prefix)
        for request in requests:
            bench.sent.clear()
            answer = await bench.ask(request.hex())
            assert not answer or bench.sent[-1] == answer
            for sent in map(bytes.fromhex, bench.sent):
                negative = sent[:2] == bytes([0x7F, request[0]]) and len(sent) == 3
                assert negative or sent[0] == request[0] + 0x40

    run(scenario())
