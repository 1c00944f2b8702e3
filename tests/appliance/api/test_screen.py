"""What the screen asks of the appliance, over the real socket and without hw."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from appliance.carlinks import write_car_links
from appliance.client import ApiError, messages
from appliance.service.sensor import sensor_of
from hw.config import VoltageConfig
from tests.appliance.api.conftest import NAME, PASSPHRASE, Kit

TWO_BLOCKS = Path(__file__).parents[2] / "data/two-blocks.vbf"
DEMO = "demo-calibration.hex"


@pytest.fixture
def stick(one_kit: Kit) -> Iterator[Path]:
    """A second stick, empty, beside the one that a simulated kit has."""
    folder = one_kit.folder / "state" / "sticks" / "blue"
    folder.mkdir()
    yield folder
    shutil.rmtree(folder)


def demo_stick(kit: Kit) -> Path:
    return kit.folder / "state" / "sticks" / "demo-stick"


# The kit ------------------------------------------------------------------------------------------


def test_technicians_are_told_while_the_kit_is_locked_with_what_they_must_wait(kit: Kit) -> None:
    assert kit.client.technicians().technicians == [
        messages.TechnicianView(name=NAME, role="owner", wait_s=0)
    ]
    for _ in range(4):
        with pytest.raises(ApiError):
            kit.client.unlock(NAME, "not the right one")
    (maria,) = kit.client.technicians().technicians
    assert 0 < maria.wait_s <= 4
    assert kit.client.status().locked


def test_status_tells_media_clock_sync_and_supply(one_kit: Kit) -> None:
    status = one_kit.client.status()
    assert [(one.name, one.simulated) for one in status.media] == [("a", True), ("b", True)]
    assert [one.folder for one in status.media] == [
        str(one_kit.folder / "state" / name) for name in ("medium-a", "medium-b")
    ]
    assert all(one.state in ("present", "full") for one in status.media)
    assert status.sync.state == "not_set_up"
    assert status.clock.wall.endswith("Z")
    assert status.supply.state in ("ok", "low", "unknown")


def test_what_is_on_the_media_and_which_sensor_there_is(one_kit: Kit) -> None:
    assert [(one.name, one.verified) for one in one_kit.client.media().media] == [
        ("a", ""),
        ("b", ""),
    ]
    sensor = one_kit.client.sensor()
    assert sensor.simulated
    assert sensor.uri.startswith("ina219+sim://")
    # INA219 over temperature and one of its steps at 10 bit; there is no divider.
    assert (sensor.divider, sensor.error_part, sensor.error_v) == (1.0, 0.01, 0.016)


def test_a_divider_makes_the_sensor_less_exact() -> None:
    sensor = sensor_of(VoltageConfig("ina219:///dev/i2c-1/0x40", divider=2.0))
    assert (sensor.error_part, sensor.error_v) == (0.02, 0.032)
    assert not sensor.simulated


def test_links_of_the_configuration_can_be_chosen(one_kit: Kit) -> None:
    assert one_kit.client.links().links == []
    uri = "doip://127.0.0.1:13400"
    write_car_links(one_kit.folder / "state", {"ecus": {"engine": {"doip": f"{uri}?target=0x10"}}})
    (link,) = one_kit.client.links().links
    assert (link.uri, link.discovery) == (f"{uri}?target=0x10", False)
    write_car_links(one_kit.folder / "state", {"discovery": uri})
    assert [one.discovery for one in one_kit.client.links().links] == [True]


# Sticks -------------------------------------------------------------------------------------------


def test_sticks_and_what_lies_on_them(one_kit: Kit, stick: Path) -> None:
    (stick / "cars").mkdir()
    for name in ("a.VBF", "raw.bin", "raw.bin.toml", "notes.txt"):
        (stick / name).write_bytes(b"x")
    found = one_kit.client.sticks().sticks
    assert [(one.name, one.simulated) for one in found] == [("blue", True), ("demo-stick", True)]
    folder = one_kit.client.stick_files(found[0].folder)
    assert (folder.stick, folder.path, folder.parent) == (str(stick), str(stick), "")
    assert [(one.name, one.container) for one in folder.entries] == [
        ("cars", ""),
        ("a.VBF", "vbf"),
        ("notes.txt", ""),
        ("raw.bin", "binary"),
        ("raw.bin.toml", ""),
    ]
    below = one_kit.client.stick_files(folder.entries[0].path)
    assert (below.parent, below.entries) == (str(stick), [])


@pytest.mark.parametrize("path", ["", "/etc", "{}/../../kit.toml", "{}/out", "{}/out/keys", "x"])
def test_no_path_leads_off_a_stick(one_kit: Kit, stick: Path, path: str) -> None:
    (stick / "out").symlink_to(one_kit.folder / "state")
    asked = path.replace("{}", str(stick))
    with pytest.raises(ApiError) as told:
        one_kit.client.stick_files(asked)
    assert told.value.exit_status == 64
    answer = one_kit.post("/containers/inspect", {"path": f"{asked}/kit.toml"})
    assert answer.status_code == 400


def test_an_export_is_put_on_a_stick_and_only_then_on_the_record(one_kit: Kit, stick: Path) -> None:
    client = one_kit.client
    job = client.job_new("Fleet Ltd", "Golf").job
    gone = str(stick.parent / "gone")
    with pytest.raises(ApiError) as told:
        client.job_export_onto(job, gone)
    assert (told.value.code, told.value.exit_status) == ("stick", 69)
    assert client.job_show(job).events == 1
    done = client.job_export_onto(job, str(stick))
    assert done.folder == f"fieldkit-{job}"
    written = {path for path in (stick / done.folder).rglob("*") if path.is_file()}
    assert len(written) == done.files
    assert sum(path.stat().st_size for path in written) == done.size_bytes
    assert (stick / done.folder / "report.pdf").read_bytes().startswith(b"%PDF")
    assert [event.kind for event in client.events(job)] == ["job_created", "exported"]
    assert client.job_export_onto(job, str(stick)).folder == f"fieldkit-{job}-2"


def test_a_report_is_looked_at_and_that_is_no_export(one_kit: Kit, stick: Path) -> None:
    client = one_kit.client
    job = client.job_new("Fleet Ltd", "Golf").job
    report = client.job_report(job[-8:])
    assert (report.name, report.content[:4]) == ("report.pdf", b"%PDF")
    assert [event.kind for event in client.events(job)] == ["job_created"]
    folder = stick / client.job_export_onto(job, str(stick)).folder
    assert (folder / "report.pdf").read_bytes() == report.content
    with pytest.raises(ApiError) as told:
        client.job_report("none-such")
    assert told.value.exit_status == 64


# Containers ---------------------------------------------------------------------------------------


def test_a_container_tells_what_it_is_and_where_it_fits(one_kit: Kit) -> None:
    path = str(demo_stick(one_kit) / DEMO)
    view = one_kit.client.container_inspect(path, "sim-engine")
    assert (view.good, view.format, view.name) == (True, "intel-hex", DEMO)
    assert [(one.address, one.size) for one in view.blocks]
    assert all(one.good for one in view.checksums)
    assert view.checksums
    assert (view.fits, view.regions) == (True, ["Calibration"])
    plain = one_kit.client.container_inspect(path)
    assert (plain.fits, plain.profile, plain.blocks) == (None, "", view.blocks)
    other = one_kit.client.container_inspect(path, "generic-uds")
    assert other.fits is False
    assert other.fit_what.endswith(".")
    assert other.fit_next_step.endswith(".")


def test_a_vbf_tells_its_number_and_every_checksum(one_kit: Kit, stick: Path) -> None:
    good = TWO_BLOCKS.read_bytes()
    (stick / "good.vbf").write_bytes(good)
    view = one_kit.client.container_inspect(str(stick / "good.vbf"))
    assert (view.good, view.format, len(view.checksums)) == (True, "vbf", 3)
    assert view.part_numbers == [view.software["sw_part_number"]]
    (stick / "bad.vbf").write_bytes(good[:-3] + bytes([good[-3] ^ 1]) + good[-2:])
    bad = one_kit.client.container_inspect(str(stick / "bad.vbf"), "sim-engine")
    assert [one.good for one in bad.checksums] == [False, True, False]
    assert (bad.good, bad.fits, bad.part_numbers) == (False, None, view.part_numbers)
    assert "bad.vbf cannot be used" in bad.what
    assert "Do not write this file" in bad.next_step


@pytest.mark.parametrize("content", [b"", b"\xff" * 100, b":", b"vbf_version = 2.4;", b"S0"])
@pytest.mark.parametrize("name", ["file.hex", "file.vbf", "file.s19", "file.bin", "file"])
def test_a_bad_file_is_an_answer(one_kit: Kit, stick: Path, name: str, content: bytes) -> None:
    (stick / name).write_bytes(content)
    view = one_kit.client.container_inspect(str(stick / name), "sim-engine")
    assert (view.good, view.size) == (False, len(content))
    assert view.what.endswith(".")
    assert view.next_step.endswith(".")


def test_a_flash_takes_a_content_or_a_path_and_never_both(one_kit: Kit) -> None:
    job = one_kit.client.job_new("Fleet Ltd", "Golf").job
    path = str(demo_stick(one_kit) / DEMO)
    base = {"link": "can://virtual/x?tx=0x7E0&rx=0x7E8", "profile": "sim-engine", "job": job}
    for more in (
        {},
        {"path": path, "content": "eA=="},
        {"path": path, "name": "x.hex"},
        {"content": "eA=="},
        {"name": "x.hex"},
        {"path": path, "name": "x.hex", "content": "eA=="},
    ):
        answer = one_kit.post("/plans/flash", base | more)
        assert answer.status_code == 400, more
        assert "one file" in answer.json()["what"]
    away = one_kit.post("/plans/flash", base | {"path": f"{path}x"})
    assert (away.status_code, away.json()["code"]) == (503, "stick")
    # The file is read and checked; then there is no hw to read the ECU.
    no_hw = one_kit.post("/plans/flash", base | {"path": path})
    assert no_hw.status_code == 503
    assert no_hw.json()["code"] != "stick"


# Coding and jobs ----------------------------------------------------------------------------------


def test_coding_can_be_chosen_from_a_profile(one_kit: Kit) -> None:
    view = one_kit.client.profile_coding("sim-body")
    assert (view.profile, view.writable) == ("sim-body", True)
    fields = [field for did in view.dids for field in did.fields]
    assert fields
    for field in fields:
        assert field.label
        assert field.setting.endswith(f".{field.name}")
        assert bool(field.options) != (field.min is not None and field.max is not None)
    assert any(field.options for field in fields)
    assert not one_kit.client.profile_coding("generic-uds").writable
    with pytest.raises(ApiError) as told:
        one_kit.client.profile_coding("../../kit")
    assert told.value.next_step


def test_a_job_carries_what_the_screen_collects(one_kit: Kit) -> None:
    job = one_kit.client.job_open(
        messages.JobNew(
            customer="Zoë Müller",
            phone=" +49 30 1234 ",
            vin="wvw-zzz 1kz6w612305",
            plate="B-FK 2026",
            make="Volkswagen",
            model="Golf V",
            year=2006,
            complaint="Stalls when hot",
        )
    )
    assert (job.phone, job.vin, job.plate) == ("+49 30 1234", "WVWZZZ1KZ6W612305", "B-FK 2026")
    assert job.vehicle == "Volkswagen Golf V 2006, B-FK 2026, WVWZZZ1KZ6W612305"
    assert one_kit.client.job_list("b-fk").jobs == [job]


def test_a_line_of_text_still_opens_a_job_and_is_not_said_twice(one_kit: Kit) -> None:
    asked = messages.JobNew(
        customer="x", vehicle="VW Golf 2006 (WVWZZZ1KZ6W612305)", make="VW", year=2006
    )
    job = one_kit.client.job_open(asked)
    assert job.vehicle == "VW Golf 2006 (WVWZZZ1KZ6W612305)"
    assert job.vin == "WVWZZZ1KZ6W612305"


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({"customer": "x"}, "not named"),
        ({"customer": "x", "vin": "WVWZZZ"}, "VIN"),
        ({"customer": "x", "vehicle": "Golf", "vin": "IVWZZZ1KZ6W612305"}, "'I'"),
        ({"customer": "x", "vehicle": "Golf", "year": 12}, "year"),
        ({"customer": "", "vehicle": "Golf"}, "customer"),
    ],
)
def test_what_is_no_car_is_refused(one_kit: Kit, body: dict[str, object], said: str) -> None:
    answer = one_kit.post("/jobs", body)
    assert answer.status_code == 400
    assert said in answer.json()["what"]


def test_a_locked_kit_shows_no_stick(kit: Kit) -> None:
    with pytest.raises(ApiError) as told:
        kit.client.sticks()
    assert told.value.code == "locked"
    kit.client.unlock(NAME, PASSPHRASE)
    assert [one.name for one in kit.client.sticks().sticks] == ["demo-stick"]
