"""What the API says of the workshop, and refuses because of it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest
from msgspec import structs

from appliance.api import messages as m
from appliance.client import ApiError
from appliance.identity import unlock
from appliance.service.book import DATABASE
from appliance.store import Store
from appliance.sync.silence import Silence
from tests.appliance.api.conftest import NAME, PASSPHRASE, running_kit

LINK = "doip://127.0.0.1:13400?target=0x0010&source=0x0E00"
DAY_S = 86_400


def was_silent(state: Path, days: int) -> None:
    """The workshop answered a greeting so many days of running time ago."""
    with Store(state / DATABASE, unlock(state, NAME, PASSPHRASE).database_key) as store:
        silence = Silence(store)
        silence.greeted(1_795_000_000)
        heard = silence.look()
        assert heard is not None
        long_ago = structs.replace(heard, ran=float(days * DAY_S))
        store.set_setting("workshop/heard", msgspec.json.encode(long_ago).decode())


def test_a_kit_that_was_silent_for_long_makes_no_plan_and_does_everything_else(
    short_tmp: Path,
) -> None:
    with running_kit(short_tmp) as kit:
        was_silent(short_tmp / "state", 31)
        client = kit.unlocked().client
        silence = client.sync_now().silence
        assert silence is not None
        assert (silence.state, silence.days) == ("refused", 31)
        assert silence.heard == "2026-11-18T11:06:40Z"
        job = client.job_new("Zoë Müller", "Golf IV").job
        coding = m.PlanCode(
            job=job, link=LINK, profile="sim-engine", settings=["coding.drive=rear"]
        )
        flash = m.PlanFlash(job=job, link=LINK, profile="sim-engine", name="a.hex", content=b"")
        restore = m.PlanRestore(job=job, link=LINK, profile="sim-engine", backup="1", what="all")
        tries: list[Callable[[], m.PlanView]] = [
            lambda: client.plan_code(coding),
            lambda: client.plan_flash(flash),
            lambda: client.plan_restore(restore),
        ]
        for make in tries:
            with pytest.raises(ApiError, match="31 days, so it takes no new programming jobs"):
                make()
        # hw is asked, which is not there: the rule stands in nobody's way.
        with pytest.raises(ApiError, match="hardware"):
            client.identify(LINK, "sim-engine", job)
        assert [one.job for one in client.job_list().jobs] == [job]
        assert client.backup_list().backups == []
