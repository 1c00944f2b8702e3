"""The office as people use it: over HTTP by a program, and in a real browser.

`desk` is a workshop on a real socket whose clock a test can move. `shop` is a hub in a process of
its own, as `fieldkit workshop serve` starts it, and `chromium` looks at it.
"""

from __future__ import annotations

import base64
import hashlib
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, sync_playwright

from appliance.records import Records
from appliance.records import events as e
from appliance.sync.hubclient import tls_for
from appliance.workshop import proofs
from appliance.workshop.hub import Hub
from appliance.workshop.keys import TLS, WorkshopKeys, init_workshop
from appliance.workshop.office.pages import COOKIE
from appliance.workshop.people import People
from appliance.workshop.program import open_hub
from appliance.workshop.tables import Models
from hw.plan import digest_of
from tests.appliance.records.sample import (
    RUN,
    acknowledged,
    gates,
    identified,
    open_records,
    plan_document,
    run_events,
)
from tests.appliance.workshop.conftest import Workshop, serving
from tests.appliance.workshop.test_handover import Kit, job_with_files
from tests.stack import ROOT
from tests.test_workshop import free_port
from tests.test_workshop import serving as serving_process

PASSWORD = "four words make a sentence"
NAME = "workshop.test"
PICTURES = ROOT / "build" / "office"
SIZES = {"1280x800": (1280, 800), "390x844": (390, 844)}


@dataclass
class Member:
    """Somebody of the office, set up by the rules and not over the pages.

    Attributes:
        secret: what the phone makes codes of.
    """

    name: str
    secret: str

    def code(self, at: float) -> str:
        """What the phone shows at a moment."""
        return proofs.totp_code(self.secret, at)


def member(people: People, name: str, role: str) -> Member:
    """Add somebody who has a password and a phone."""
    word = people.add(name, role, "the test")
    session = people.session(people.first_log_in(name, word, "127.0.0.1"))
    assert session is not None
    uri = people.totp_uri(session)
    found = re.search(r"secret=([A-Z2-7]+)", uri)
    assert found is not None
    people.set_up(session, PASSWORD, proofs.totp_code(found[1], people.now()))
    return Member(name, found[1])


def cookie_of(people: People, name: str) -> str:
    """The word in the cookie of somebody who is logged in, without a login."""

    def begin(tables: Models) -> str:
        person = tables.people.get(tables.people.name == name)
        return people.begin(tables, person.id)

    return people.database.write(begin)


def written_job(records: Records) -> str:
    """A job with a backup and a write that was held in a sag and then ended well."""
    job = job_with_files(records)
    digest = digest_of(plan_document(job))
    records.append_all(job, [gates(digest, dry=True, closed="USER_ACKNOWLEDGMENT")])
    records.append_all(job, [acknowledged(digest), gates(digest)])
    records.append(job, e.WriteStarted(run=RUN, plan_digest=digest, simulated=["car"]))
    records.append_events(job, RUN, list(enumerate(run_events("verified", 11.6), start=1)))
    records.append(job, identified("1.0.8"))
    return job


# Over HTTP ----------------------------------------------------------------------------------------


@dataclass
class Desk:
    """A workshop, who may use its pages, and a kit with a job that lies there.

    Attributes:
        job: what a kit wrote and handed over.
    """

    workshop: Workshop
    people: People
    members: dict[str, Member]
    kit: Kit
    job: str

    def now(self) -> float:
        return self.people.now()

    def nobody(self) -> httpx.Client:
        """A browser in which nobody is logged in."""
        return httpx.Client(
            base_url=self.workshop.address,
            verify=tls_for(self.workshop.keys.authority),
            headers={"Origin": self.workshop.address},
            timeout=60,
        )

    def somebody(self, role: str) -> httpx.Client:
        """A browser in which somebody of this role is logged in."""
        return self.as_person(self.members[role].name)

    def as_person(self, name: str) -> httpx.Client:
        """A browser in which this person is logged in."""
        client = self.nobody()
        client.headers["Cookie"] = f"{COOKIE}={cookie_of(self.people, name)}"
        return client


def csrf_of(page: str) -> str:
    """The word in a page's forms."""
    found = re.search(r'name="csrf" value="([^"]+)"', page)
    assert found is not None
    return found[1]


def arrived(kit: Kit, job: str) -> str:
    """Let a kit hand over what it has."""
    assert kit.outbox.freeze().without_medium == []
    assert kit.hand_over().waiting == 0
    return job


@contextmanager
def enrolled_kit(workshop: Workshop, folder: Path) -> Iterator[Kit]:
    """A kit that may send."""
    key = Ed25519PrivateKey.generate()
    with open_records(folder, key) as records, workshop.enrolled(key) as client:
        yield Kit(records, workshop, client)


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    with (
        serving(tmp_path_factory.mktemp("workshop")) as workshop,
        enrolled_kit(workshop, tmp_path_factory.mktemp("kit")) as kit,
    ):
        people = People(workshop.hub.database, workshop.hub.now)
        roles = {"technician": "Tom", "office": "Olga", "owner": "Oskar"}
        members = {role: member(people, name, role) for role, name in roles.items()}
        yield Desk(workshop, people, members, kit, arrived(kit, written_job(kit.records)))


# In a browser -------------------------------------------------------------------------------------


@dataclass
class Shop:
    """A hub in its own process, and a kit that is enrolled there.

    Attributes:
        hub: the same database and store, opened here.
        address: what a person types.
    """

    hub: Hub
    keys: WorkshopKeys
    people: People
    address: str
    kit: Kit


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    folder, port = tmp_path_factory.mktemp("shop") / "workshop", free_port()
    keys = init_workshop(folder, [NAME, "127.0.0.1"], lambda identity: identity)
    hub, _ = open_hub(folder, "", "")
    with serving_process(folder, port):
        workshop = Workshop(hub, keys, f"https://127.0.0.1:{port}", folder)
        with enrolled_kit(workshop, tmp_path_factory.mktemp("kit")) as kit:
            yield Shop(hub, keys, People(hub.database, time.time), f"https://{NAME}:{port}", kit)


@pytest.fixture(scope="module")
def chromium(shop: Shop) -> Iterator[Browser]:
    """A browser that knows the workshop's certificate and name."""
    certificate = x509.load_pem_x509_certificate((shop.keys.folder / TLS).read_bytes())
    spki = certificate.public_key().public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    pinned = base64.b64encode(hashlib.sha256(spki).digest()).decode()
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path="/usr/bin/chromium",
            args=[
                "--no-sandbox",
                f"--ignore-certificate-errors-spki-list={pinned}",
                f"--host-resolver-rules=MAP {NAME} 127.0.0.1",
            ],
        )
        yield browser
        browser.close()


@dataclass
class Looking:
    """One window, and what its console said that should not have been said."""

    page: Page
    context: BrowserContext
    address: str
    complaints: list[str] = field(default_factory=list)

    def open(self, path: str) -> None:
        self.page.goto(self.address + path)

    def picture(self, name: str) -> None:
        """Keep the page as a picture, in each size."""
        PICTURES.mkdir(parents=True, exist_ok=True)
        for size, (width, height) in SIZES.items():
            self.page.set_viewport_size({"width": width, "height": height})
            self.page.screenshot(path=PICTURES / f"{name}-{size}.png", full_page=True)
            wide = self.page.evaluate("document.documentElement.scrollWidth")
            assert wide <= width, f"{name} is wider than {size}"
        width, height = SIZES["1280x800"]
        self.page.set_viewport_size({"width": width, "height": height})


@contextmanager
def looking(
    browser: Browser, shop: Shop, name: str = "", scheme: str = "light", zone: str = "UTC"
) -> Iterator[Looking]:
    """A window in which somebody is logged in, or nobody; its console must stay quiet."""
    dark = scheme == "dark"
    context = browser.new_context(
        viewport={"width": 1280, "height": 800},
        color_scheme="dark" if dark else "light",
        timezone_id=zone,
    )
    context.set_default_timeout(30_000)
    if name:
        context.add_cookies(
            [
                {
                    "name": COOKIE,
                    "value": cookie_of(shop.people, name),
                    "url": shop.address,
                    "secure": True,
                    "httpOnly": True,
                    "sameSite": "Strict",
                }
            ]
        )
    page = context.new_page()
    window = Looking(page, context, shop.address)

    def heard(message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            window.complaints.append(message.text)

    page.on("console", heard)
    page.on("pageerror", lambda error: window.complaints.append(str(error)))
    yield window
    context.close()
    assert window.complaints == []
