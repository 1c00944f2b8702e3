"""What every compiled plan keeps to, and what no compiler accepts."""

from __future__ import annotations

import hashlib
import json
import zlib
from dataclasses import replace
from typing import Literal

import pytest
import rfc8785
from hypothesis import given, settings
from hypothesis import strategies as st

from appliance.containers import Image, Segment
from appliance.plans import (
    CompiledPlan,
    PlanError,
    compile_coding,
    compile_flash,
    compile_recovery,
    compile_restore,
    describe,
    read_field,
)
from appliance.plans.values import raw_of, shown, write_field
from appliance.profiles.loader import WrongLink
from appliance.profiles.schema import Field, Identification
from hw.plan import (
    CheckDid,
    CommunicationControl,
    Download,
    DtcSetting,
    IdentityValue,
    ReadBack,
    Routine,
    Step,
    TransferExit,
    WriteDid,
    decode_plan,
    digest_of,
)
from tests.appliance.plans.cars import DATA, JOB, LINK, coding, identity, image, loaded, parsed

Encoding = Literal["ascii", "hex", "bcd", "uint"]

ENGINE = loaded("sim-engine")
LIVE = identity("engine")
CALIBRATION = next(one for one in ENGINE.profile.memory if one.name == "calibration")
APPLICATION = next(one for one in ENGINE.profile.memory if one.name == "application")


# Properties of every plan -------------------------------------------------------------------------


@st.composite
def files(draw: st.DrawFn) -> Image:
    """Containers whose blocks lie inside the regions, one to five of them, never overlapping."""
    blocks: dict[int, bytes] = {}
    for region in draw(st.sampled_from([[CALIBRATION], [APPLICATION], [CALIBRATION, APPLICATION]])):
        position = region.address
        for _ in range(draw(st.integers(1, 3))):
            start = position + draw(st.integers(0, 0x3000))
            size = draw(st.integers(1, 0x1800))
            if start + size > region.end:
                break
            blocks[start] = bytes([draw(st.integers(0, 255))]) * size
            position = start + size
    return image(sorted(blocks.items()))


@st.composite
def plans(draw: st.DrawFn) -> CompiledPlan:
    """Plans of all four kinds."""
    kind = draw(st.sampled_from(["flash", "recovery", "coding", "restore"]))
    if kind == "coding":
        value = draw(
            st.binary(min_size=4, max_size=4).filter(lambda raw: raw != b"\x01\x31\x00\x0a")
        )
        change = f"0x0600.raw={value.hex()}"
        return compile_coding(ENGINE, LIVE, coding("engine"), [change], LINK, JOB)
    if kind == "restore":
        memory = {"calibration": draw(st.binary(min_size=1, max_size=1)) * CALIBRATION.size}
        return compile_restore(
            ENGINE, LIVE, LINK, JOB, source="B-1", coding=coding("engine"), memory=memory
        )
    made = compile_flash(ENGINE, LIVE, draw(files()), LINK, JOB)
    if kind == "recovery":
        return compile_recovery(ENGINE, made.document, made.payload, LIVE)
    return made


def covered(steps: list[Step], purpose: str) -> list[tuple[int, int]]:
    """Address ranges (start, end) of the erase or check routines, from their options."""
    found = []
    for step in steps:
        if isinstance(step, Routine) and step.purpose == purpose:
            raw = bytes.fromhex(step.option)
            start, length = int.from_bytes(raw[1:5], "big"), int.from_bytes(raw[5:9], "big")
            found.append((start, start + length))
    return found


@given(plans())
@settings(max_examples=60, deadline=None)
def test_a_plan_is_canonical_and_decodes_to_itself(made: CompiledPlan) -> None:
    assert decode_plan(made.document) == made.plan
    assert rfc8785.dumps(json.loads(made.document)) == made.document
    assert digest_of(made.document) == made.digest


@given(plans())
@settings(max_examples=60, deadline=None)
def test_the_payload_file_is_the_payloads_back_to_back(made: CompiledPlan) -> None:
    position = 0
    for part in made.plan.payloads:
        data = made.payload[position : position + part.size]
        assert hashlib.sha256(data).hexdigest() == part.sha256
        position += part.size
    assert position == len(made.payload) == made.plan.payload_size
    used = [step.payload for step in made.plan.steps if isinstance(step, Download)]
    assert used == list(range(len(made.plan.payloads)))


@given(plans())
@settings(max_examples=60, deadline=None)
def test_every_block_is_erased_before_and_checked_after(made: CompiledPlan) -> None:
    steps = made.plan.steps
    for index, step in enumerate(steps):
        if isinstance(step, Download):
            start, end = step.address, step.address + step.uncompressed_size
            assert any(a <= start and end <= b for a, b in covered(steps[:index], "erase"))
            assert any(a <= start and end <= b for a, b in covered(steps[index:], "check_memory"))
            assert isinstance(steps[index + 1], TransferExit)
    assert covered(steps, "erase") == covered(steps, "check_memory")
    for start, end in covered(steps, "erase"):
        region = next(one for one in (CALIBRATION, APPLICATION) if one.address <= start < one.end)
        assert region.write is not None
        assert end <= region.end
        assert (start - region.address) % region.write.sector_size == 0
        assert (end - start) % region.write.sector_size == 0


@given(plans())
@settings(max_examples=60, deadline=None)
def test_what_is_switched_off_is_in_the_restore_list(made: CompiledPlan) -> None:
    restored = {type(step) for step in made.plan.restore}
    for step in made.plan.steps:
        if isinstance(step, CommunicationControl | DtcSetting):
            assert type(step) in restored


@given(plans())
@settings(max_examples=60, deadline=None)
def test_the_risk_text_says_job_ecu_and_digest(made: CompiledPlan) -> None:
    text = made.plan.risk.text
    written = made.payload or b"".join(
        bytes.fromhex(step.expect)
        for step in made.plan.steps
        if isinstance(step, CheckDid) and step.did == 0x0600
    )
    assert JOB in text
    assert "engine" in text
    assert hashlib.sha256(written).hexdigest() in text
    assert "{" not in text


def is_written(step: Step) -> bool:
    return isinstance(step, Download | TransferExit | WriteDid)


@given(plans())
@settings(max_examples=60, deadline=None)
def test_the_dry_run_has_a_line_for_each_step_and_no_vin(made: CompiledPlan) -> None:
    told = describe(made.plan)
    lines = told.lines
    assert len(told.steps) == len(made.plan.steps)
    for number in range(1, len(made.plan.steps) + 1):
        assert sum(line.lstrip().startswith(f"{number}. ") for line in lines) == 1
    kinds = [step.kind for step in told.steps]
    assert all(
        (kind == "write") == is_written(step)
        for kind, step in zip(kinds, made.plan.steps, strict=True)
    )
    private = {item.value for item in made.plan.target.identity}
    text = "\n".join((*lines, made.plan.title, made.plan.risk.text))
    for value in private:
        assert value not in text
        assert bytes.fromhex(value).decode() not in text


@given(files())
@settings(max_examples=60, deadline=None)
def test_checks_count_what_stays_erased(wish: Image) -> None:
    made = compile_flash(ENGINE, LIVE, wish, LINK, JOB)
    for (start, end), step in zip(
        covered(made.plan.steps, "check_memory"),
        [one for one in made.plan.steps if getattr(one, "purpose", "") == "check_memory"],
        strict=True,
    ):
        content = bytearray(b"\xff" * (end - start))
        for segment in wish.segments:
            if start <= segment.address < end:
                content[segment.address - start : segment.end - start] = segment.data
        assert isinstance(step, Routine)
        assert step.option.endswith(f"{zlib.crc32(content):08x}")
        for back in made.plan.steps:
            if isinstance(back, ReadBack) and back.address == start:
                assert back.sha256 == hashlib.sha256(content).hexdigest()


def test_the_same_wish_gives_the_same_plan() -> None:
    wish = image([(0x8000, b"a" * 100)])
    first = compile_flash(ENGINE, LIVE, wish, LINK, JOB)
    assert compile_flash(ENGINE, list(reversed(LIVE)), wish, LINK, JOB) == first


def test_gaps_are_in_risk_text_and_file_name_in_the_title() -> None:
    made = compile_flash(ENGINE, LIVE, image([(0x8010, b"a" * 16)]), LINK, JOB)
    assert "16 bytes from 0x00008000 are erased and not in the file" in made.plan.risk.text
    assert "8160 bytes from 0x00008020 are erased" in made.plan.risk.text
    assert made.plan.title == "Program engine with software.hex"
    whole = compile_flash(ENGINE, LIVE, image([(0x8000, b"a" * 0x2000)]), LINK, JOB)
    assert "not in the file" not in whole.plan.risk.text


def test_read_back_is_only_where_the_region_is_read_by_address() -> None:
    wish = image([(0x8000, b"a" * 16), (0x80_0000, b"b" * 16)])
    made = compile_flash(ENGINE, LIVE, wish, LINK, JOB)
    backs = [step.address for step in made.plan.steps if isinstance(step, ReadBack)]
    assert backs == [0x8000]


# Refusals -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("segments", "where"),
    [
        ([(0x4000, b"a")], "no memory region at 0x00004000"),
        ([(0x1_8000, b"a")], "no memory region at 0x00018000"),
        ([(0x7FFF, b"ab")], "no memory region at 0x00007FFF"),
        ([(0x1_7FFF, b"ab")], "0x00017FFF runs past the end of the region 'calibration'"),
        ([(0xF0_0000, b"a")], "0x00F00000 lies in the region 'eeprom', which is never written"),
        ([(0x8000, b"ab"), (0x8001, b"c")], "Two blocks of the file claim address 0x00008001"),
        ([(0x8000, b"")], "0x00008000 is empty"),
    ],
)
def test_a_file_that_does_not_fit_is_refused(segments: list[tuple[int, bytes]], where: str) -> None:
    with pytest.raises(PlanError, match=where) as caught:
        compile_flash(ENGINE, LIVE, image(segments), LINK, JOB)
    assert caught.value.exit_status == 65


@pytest.mark.parametrize(
    ("erase", "where"),
    [
        (((0x8000, 0x1000),), "not made of whole sectors"),
        (((0x8000, 0x2_0000),), "runs past the end"),
        (((0xA000, 0x2000),), "0x00008000 lies outside the ranges that the file wants erased"),
        (((0x8000, 0),), "not made of whole sectors"),
    ],
)
def test_erase_ranges_that_do_not_fit_are_refused(
    erase: tuple[tuple[int, int], ...], where: str
) -> None:
    with pytest.raises(PlanError, match=where):
        compile_flash(ENGINE, LIVE, image([(0x8000, b"a" * 16)], erase=erase), LINK, JOB)


def packed(data_format: int) -> Image:
    segment = Segment(0x8000, b"packed", 0x2000, data_format)
    return replace(image([]), segments=(segment,))


def test_a_data_format_the_region_does_not_take_is_refused() -> None:
    with pytest.raises(PlanError, match="data format 0x10, which the region 'calibration'"):
        compile_flash(ENGINE, LIVE, packed(0x10), LINK, JOB)


def test_a_check_that_needs_the_packed_content_is_refused() -> None:
    text = (DATA / "sim-engine.toml").read_text()
    takes_packed = parsed(text.replace("[0x00]", "[0x00, 0x10]"), "sim-engine")
    with pytest.raises(PlanError, match=r"needs \{crc32\}"):
        compile_flash(takes_packed, LIVE, packed(0x10), LINK, JOB)


def test_a_check_that_the_ecu_makes_alone_takes_packed_data() -> None:
    text = (DATA / "sim-engine.toml").read_text()
    text = text.replace("[0x00]", "[0x00, 0x10]").replace("{crc32:4}", "")
    made = compile_flash(parsed(text, "sim-engine"), LIVE, packed(0x10), LINK, JOB)
    download = next(step for step in made.plan.steps if isinstance(step, Download))
    assert (download.data_format, download.uncompressed_size) == (0x10, 0x2000)
    assert made.plan.payload_size == len(b"packed")
    # Nobody but the ECU knows what it unpacks to, so there is nothing to compare.
    assert not any(isinstance(step, ReadBack) for step in made.plan.steps)


def without(did: int) -> list[IdentityValue]:
    return [item for item in LIVE if item.did != did]


def test_an_identifying_value_that_was_not_read_is_refused() -> None:
    with pytest.raises(PlanError, match=r"serial number .* was not read"):
        compile_flash(ENGINE, without(0xF18C), image([(0x8000, b"a")]), LINK, JOB)


def test_another_hardware_is_refused() -> None:
    other = [*without(0xF191), IdentityValue(did=0xF191, value=b"8K0907999".hex())]
    with pytest.raises(PlanError, match="is '8K0907999'; this write is for '8K0907115'"):
        compile_flash(ENGINE, other, image([(0x8000, b"a")]), LINK, JOB)


def demanding() -> str:
    text = (DATA / "sim-engine.toml").read_text()
    return text.replace(
        'role = "software_number"',
        'role = "software_number"\ncontainer_demands = "old"\ncontainer_sets = "new"',
    )


def test_what_the_container_demands_and_sets_is_held() -> None:
    profile = parsed(demanding(), "sim-engine")
    wish = image([(0x8000, b"a")], software={"old": "8K0907115R", "new": "8K0907115S"})
    made = compile_flash(profile, LIVE, wish, LINK, JOB)
    assert IdentityValue(did=0xF188, value=b"8K0907115R".hex()) in made.preconditions
    assert CheckDid(did=0xF188, expect=b"8K0907115S".hex()) in made.plan.steps
    assert [item.did for item in made.compatibility] == [0xF191]
    recovery = compile_recovery(profile, made.document, made.payload, LIVE)
    assert CheckDid(did=0xF188, expect=b"8K0907115S".hex()) in recovery.plan.steps


def test_a_container_for_other_software_is_refused() -> None:
    wish = image([(0x8000, b"a")], software={"old": "8K0907115Q"})
    with pytest.raises(PlanError, match="is '8K0907115R'; this write is for '8K0907115Q'"):
        compile_flash(parsed(demanding(), "sim-engine"), LIVE, wish, LINK, JOB)


def test_a_link_to_another_ecu_is_refused() -> None:
    link = "doip://127.0.0.1?target=0x0018&source=0x0E00"
    with pytest.raises(WrongLink):
        compile_flash(ENGINE, LIVE, image([(0x8000, b"a")]), link, JOB)


@pytest.mark.parametrize("name", ["sim-body", "generic-uds"])
def test_a_profile_without_a_flash_sequence_flashes_nothing(name: str) -> None:
    with pytest.raises(PlanError, match="does not say how"):
        compile_flash(loaded(name), identity("body"), image([(0, b"a")]), LINK, JOB)


@pytest.mark.parametrize(
    ("change", "what", "next_step"),
    [
        ("0x0602.a=1", "no coding '0x0602'", "0x0600 (coding), 0x0601 (adaptation)"),
        ("0xzz.a=1", "no coding '0xzz'", "Name one of"),
        ("coding.turbo=on", "no field 'turbo'", "cruise_control, gearbox, drive, start_stop"),
        ("coding.drive=both", "drive cannot be 'both'", "one of: front, rear, all"),
        ("adaptation.idle_speed=1001", "cannot be '1001'", "a number from 600 to 1000 1/min"),
        ("adaptation.idle_speed=700.5", "cannot be '700.5'", "in steps of 1"),
        ("adaptation.idle_speed=fast", "cannot be 'fast'", "a number from 600"),
        ("adaptation.idle_speed=nan", "cannot be 'nan'", "a number from 600"),
        ("coding.raw=00", "has 4 bytes, not 1", "profile"),
        ("coding.raw=xy", "not hexadecimal", "raw=0a1b"),
        ("coding.drive", "not a change", "DID.FIELD=VALUE"),
        ("drive=all", "not a change", "DID.FIELD=VALUE"),
        ("coding.drive=all", "coded in this way already", "Nothing has to be written"),
    ],
)
def test_a_change_that_makes_no_sense_is_refused(change: str, what: str, next_step: str) -> None:
    with pytest.raises(PlanError) as caught:
        compile_coding(ENGINE, LIVE, coding("engine"), [change], LINK, JOB)
    assert what in caught.value.what
    assert next_step in caught.value.next_step


def test_coding_rests_on_what_was_read() -> None:
    made = compile_coding(ENGINE, LIVE, coding("engine"), ["coding.drive=rear"], LINK, JOB)
    assert made.preconditions == (IdentityValue(did=0x0600, value="0131000a"),)
    with pytest.raises(PlanError, match="0x0600 was not read"):
        compile_coding(ENGINE, LIVE, {}, ["coding.drive=rear"], LINK, JOB)
    with pytest.raises(PlanError, match="has 4 bytes, not 3"):
        compile_coding(ENGINE, LIVE, {0x0600: bytes(3)}, ["coding.drive=rear"], LINK, JOB)


def test_a_plan_is_of_the_class_of_the_sensitive_part_that_it_writes() -> None:
    cluster, live, now = loaded("sim-cluster"), identity("cluster"), coding("cluster")

    def code(*changes: str) -> CompiledPlan:
        return compile_coding(cluster, live, now, changes, LINK, JOB)

    learned = code("immobiliser.keys=3").plan
    assert learned.risk.risk_class == "immobiliser"
    assert "keys or immobiliser of the cluster" in learned.risk.text
    assert code("fault_memory.lamp_faults=ignored").plan.risk.risk_class == "dtc_modification"
    assert code("coding.language=french").plan.risk.risk_class == "coding"
    mixed = code("coding.language=french", "immobiliser.keys=3").plan
    assert mixed.risk.risk_class == "immobiliser"
    with pytest.raises(PlanError, match="dtc_modification and immobiliser in one write"):
        code("immobiliser.keys=3", "fault_memory.lamp_faults=ignored")
    again = compile_recovery(cluster, code("immobiliser.keys=3").document, b"", live).plan
    assert again.risk.risk_class == "immobiliser"
    restored = compile_restore(cluster, live, LINK, JOB, source="B", coding=now).plan
    assert restored.risk.risk_class == "restore"


def test_a_restore_of_what_the_profile_does_not_know_is_refused() -> None:
    with pytest.raises(PlanError, match="coding 0x0700, which the profile"):
        compile_restore(ENGINE, LIVE, LINK, JOB, source="B", coding={0x0700: b"a"})
    with pytest.raises(PlanError, match="'calibration' of 1 bytes is not one"):
        compile_restore(ENGINE, LIVE, LINK, JOB, source="B", memory={"calibration": b"a"})
    with pytest.raises(PlanError, match="nothing to restore"):
        compile_restore(ENGINE, LIVE, LINK, JOB, source="B")


def test_a_recovery_with_another_payload_or_ecu_is_refused() -> None:
    made = compile_flash(ENGINE, LIVE, image([(0x8000, b"abc")]), LINK, JOB)
    with pytest.raises(PlanError, match="not the one of the interrupted plan"):
        compile_recovery(ENGINE, made.document, b"abd", LIVE)
    with pytest.raises(PlanError, match="longer than"):
        compile_recovery(ENGINE, made.document, b"abcd", LIVE)
    with pytest.raises(PlanError, match="0xF18C reads differently or not at all"):
        compile_recovery(ENGINE, made.document, b"abc", without(0xF18C))
    with pytest.raises(PlanError, match="made with the profile sim-engine"):
        compile_recovery(loaded("sim-gearbox"), made.document, b"abc", LIVE)


def test_a_recovery_may_use_another_link() -> None:
    made = compile_flash(ENGINE, LIVE, image([(0x8000, b"abc")]), LINK, JOB)
    link = "doip://127.0.0.1?target=0x0010&source=0x0E00"
    recovery = compile_recovery(ENGINE, made.document, b"abc", LIVE, link)
    assert recovery.plan.target.link == link


@pytest.mark.parametrize(
    ("link", "expected"),
    [
        ("can://socketcan/can0?bitrate=500000", "4194304 bytes cross the link in about 2 min"),
        ("can://socketcan/can0?bitrate=125000", "4194304 bytes cross the link in about 10 min"),
        ("doip://127.0.0.1?target=0x0010", "4194304 bytes cross the link in about 1 s"),
        (
            "can://socketcan/can0?bitrate=500000&fd=1&dbitrate=2000000",
            "4194304 bytes cross the link in about 27 s",
        ),
        ("kline:///dev/ttyUSB0?init=fast", "4194304 bytes cross the link, at a speed that is not"),
    ],
)
def test_the_dry_run_estimates_by_the_link(link: str, expected: str) -> None:
    wish = image([(0x80_0000, b"a" * 0x40_0000)])
    made = compile_flash(ENGINE, LIVE, wish, link, JOB)
    assert any(expected in line for line in describe(made.plan).lines)


@pytest.mark.parametrize(
    ("encoding", "length", "text", "expect"),
    [("uint", 2, "258", "0102"), ("bcd", 0, "2026", "2026"), ("hex", 1, "ff", "ff")],
)
def test_what_the_container_sets_is_encoded_as_the_did(
    encoding: Encoding, length: int, text: str, expect: str
) -> None:
    entry = Identification(did=0xF188, name="software", label="S", encoding=encoding, length=length)
    assert raw_of(entry, text).hex() == expect
    assert shown(entry, raw_of(entry, text)) == text


@pytest.mark.parametrize(
    ("encoding", "length", "text"),
    [("uint", 1, "256"), ("uint", 1, "x"), ("hex", 1, "ffff"), ("hex", 1, "f"), ("ascii", 0, "ä")],
)
def test_what_is_no_value_of_the_did_is_refused(encoding: Encoding, length: int, text: str) -> None:
    entry = Identification(did=0xF188, name="software", label="S", encoding=encoding, length=length)
    with pytest.raises(PlanError, match="is not a value of S"):
        raw_of(entry, text)


# Fields -------------------------------------------------------------------------------------------


@given(
    data=st.binary(min_size=8, max_size=8),
    byte=st.integers(0, 3),
    bit=st.integers(0, 7),
    width=st.integers(1, 32),
    number=st.integers(0, 2**32 - 1),
)
def test_a_written_field_reads_back_and_nothing_else_changes(
    data: bytes, byte: int, bit: int, width: int, number: int
) -> None:
    wanted = number % (1 << width)
    top = float((1 << width) - 1)
    field = Field(name="f", label="F", byte=byte, bit=bit, width=width, min=0.0, max=top)
    changed = write_field(field, data, str(wanted))
    assert float(read_field(field, changed)) == wanted
    mask = field.mask << 8 * (8 - byte - field.byte_count)
    difference = int.from_bytes(data, "big") ^ int.from_bytes(changed, "big")
    assert difference & ~mask == 0


def test_a_value_without_a_word_is_shown_as_a_number() -> None:
    field = ENGINE.profile.coding[0].fields[2]
    assert read_field(field, bytes.fromhex("01910000")) == "0x9"
    assert read_field(field, bytes.fromhex("01310000")) == "all"
