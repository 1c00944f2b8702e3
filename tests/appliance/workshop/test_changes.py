"""What goes down to kits, over real TLS: signed, once, in order, to whom it is for."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from appliance import identity
from appliance.age import new_identity
from appliance.errors import PassphraseError
from appliance.identity import (
    IssuedTechnician,
    change_passphrase,
    init_kit,
    issue_technician,
    list_technicians,
    unlock,
)
from appliance.profiles.loader import load_profile
from appliance.store import Store
from appliance.sync.change import (
    NAMESPACE_CHANGE,
    Change,
    Changes,
    Numbered,
    ProfileIssued,
    Revocation,
    TextIssued,
    seal_change,
)
from appliance.sync.changes import Inbox
from appliance.sync.hubclient import HubClient, Paused
from appliance.sync.order import Order, OrderGone
from appliance.sync.requests import kit_id
from appliance.workshop.errors import NotThere
from appliance.workshop.feed import PAGE, changes_for, publish
from appliance.workshop.tables import HubDatabase
from appliance.workshop.technicians import add_technician, kit_technicians, remove_technician
from appliance.workshop.texts import held_texts, publish_text
from hw.errors import BadInputError, UnavailableError, UsageError
from hw.sshsig import AllowedSigners, Signer, public_line, sign
from hw.statements import NAMESPACE_PROFILE
from hw.texts import kept_texts
from tests.appliance.workshop.conftest import Workshop

PROFILE = Path("appliance/profiles/data/generic-uds.toml").read_bytes()
OWNER, TECHNICIAN = "maria", "jo"
OWNER_PASSPHRASE, SENT_PASSPHRASE = "correct horse battery", "five words for every van"
ORDER = "01a20000-0000-7000-8000-00000000000c"


@pytest.fixture(scope="module")
def made_state(workshop: Workshop, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A kit that trusts the workshop's profiles."""
    state = tmp_path_factory.mktemp("kit") / "state"
    init_kit(
        state,
        technicians=[
            (OWNER, "owner", OWNER_PASSPHRASE),
            (TECHNICIAN, "technician", "another long sentence"),
        ],
        workshop_recipient=new_identity()[1],
        recovery_recipient=new_identity()[1],
        config={
            "voltage": {"sensor": "ina219:///dev/i2c-1/0x40"},
            "media": {"a": str(state / "a"), "b": str(state / "b"), "simulated": True},
        },
        workshop_key=public_line(workshop.keys.signing),
    )
    return state


def made_master_key(state: Path) -> bytes:
    return unlock(state, OWNER, OWNER_PASSPHRASE).master_key


class Kit:
    """A kit's inbox and its connection."""

    def __init__(self, workshop: Workshop, state: Path, store: Store, hub: HubClient, id_: str):
        self.state, self.store, self.hub, self.id = state, store, hub, id_
        self.workshop = workshop
        signing = workshop.keys.signing.public_key().public_bytes_raw()
        trusted = AllowedSigners((Signer(("workshop",), frozenset({NAMESPACE_CHANGE}), signing),))
        self.inbox = Inbox(store, state, id_, trusted, threading.Lock(), made_master_key(state))

    def fetch(self) -> int:
        return self.inbox.fetch(self.hub.changes, lambda: True)

    def text(self, name: str) -> list[tuple[int, str]]:
        rows = self.store.run(lambda t: list(t.texts.select().where(t.texts.name == name)))
        return [(row["version"], row["text"]) for row in rows]

    def orders(self) -> list[str]:
        return self.store.run(lambda t: [str(row["reference"]) for row in t.orders.select()])

    def whys(self, subject: str) -> list[str]:
        return [one.why for one in self.inbox.put_aside() if one.subject == subject]


@pytest.fixture
def kit(workshop: Workshop, made_state: Path, tmp_path: Path) -> Iterator[Kit]:
    key = Ed25519PrivateKey.generate()
    state = Path(shutil.copytree(made_state, tmp_path / "state"))
    with Store(state / "appliance.db", bytes(32)) as store, workshop.enrolled(key) as hub:
        found = Kit(workshop, state, store, hub, kit_id(key.public_key()))
        found.fetch()  # what other tests told every kit
        yield found


def text(words: str, name: str = "terms", version: int = 1) -> TextIssued:
    return TextIssued(name=name, language="en", version=version, text=words)


def order(reference: str = "W-7K3F2") -> Order:
    return Order(
        order=ORDER,
        reference=reference,
        way="visit",
        state="booked",
        customer="Zoë Müller",
        phone="+49 30 1234567",
        made="2026-11-27T08:00:00Z",
    )


def sealed(
    number: int,
    key: Ed25519PrivateKey,
    kind: str = "text",
    version: int = 1,
    words: str = "Forged.",
    kit: str = "",
) -> Numbered:
    body = msgspec.to_builtins(text(words, "forged", version))
    change = Change(
        format="fieldkit-change/1",
        number=number,
        kit=kit,
        kind=kind,
        subject="forged/en",
        version=version,
        body=body,
    )
    return seal_change(change, key)


def test_a_text_goes_to_every_kit_and_a_later_version_takes_its_place(
    kit: Kit, workshop: Workshop
) -> None:
    database, key = workshop.hub.database, workshop.keys.signing

    def told(language: str, words: str) -> int:
        version = publish_text(database, key, "terms", language, words).version
        assert kit.fetch() == 1
        return version

    def terms(language: str) -> list[str]:
        return [one.text for one in held_texts(database, language) if one.name == "terms"]

    assert terms("en")[0].startswith("Terms of the work"), "what comes with the program"
    assert told("en", "We take care.") == 1
    assert kit.text("terms") == [(1, "We take care.")]
    assert told("en", "We take great care.") == 2
    assert kit.text("terms") == [(2, "We take great care.")]
    assert told("de", "Wir sind sehr vorsichtig.") == 2, "the same text, in another language"
    assert terms("de") == ["Wir sind sehr vorsichtig."]
    assert told("de", "Wir sind vorsichtig.") == 3
    assert terms("en") == []
    for name, language, words in (("Terms", "en", "x"), ("terms", "english", "x"), ("a", "en", "")):
        with pytest.raises(UsageError, match="no text for kits"):
            publish_text(database, key, name, language, words)
    assert kit.fetch() == 0
    assert kit.inbox.put_aside() == []


def test_a_text_that_customers_sign_is_what_the_gate_holds_them_to(
    kit: Kit, workshop: Workshop
) -> None:
    for words in ("Keys\n\nOurs.\n", "Keys\n\nOurs, better.\n"):
        publish_text(workshop.hub.database, workshop.keys.signing, "immobiliser", "en", words)
        kit.fetch()
        held = kept_texts(kit.state, "immobiliser").held
        assert {language: one.content for language, one in held.items()} == {"en": words}
    assert kit.inbox.put_aside() == []


def test_what_came_before_and_what_is_older_does_nothing(kit: Kit, workshop: Workshop) -> None:
    def told(words: str) -> Numbered:
        change = workshop.hub.publish("text", "old/en", text(words, "old"))
        return seal_change(change, workshop.keys.signing)

    both = [told("First."), told("Second.")]
    kit.fetch()
    known = kit.text("old")
    for one in (*kit.hub.changes(0).changes, *both):
        kit.inbox.take(one)
    assert kit.text("old") == known
    assert known[0][1] == "Second."
    assert kit.inbox.put_aside() == []


def test_a_change_that_another_key_signed_or_that_was_touched_is_put_aside_and_the_rest_goes_on(
    kit: Kit, workshop: Workshop
) -> None:
    good = workshop.hub.publish("text", "rest/en", text("The rest.", "rest"))
    real = seal_change(good, workshop.keys.signing)
    forged = sealed(good.number + 1, Ed25519PrivateKey.generate())
    touched = Numbered(
        number=good.number + 2,
        document=real.document.replace("The rest.", "The best."),
        signature=real.signature,
    )
    moved = msgspec.structs.replace(real, number=good.number + 3)
    unreadable = Numbered(number=good.number + 4, document="{", signature="no signature")
    last = sealed(good.number + 5, workshop.keys.signing, words="Real.")
    pages = [Changes(changes=[real, forged, touched, moved, unreadable, last], more=False, last=99)]
    kit.inbox.fetch(lambda _after: pages.pop(0), lambda: True)
    assert kit.text("rest") == [(1, "The rest.")]
    assert kit.text("forged") == [(1, "Real.")]
    aside = {one.number - good.number: one.why for one in kit.inbox.put_aside()}
    assert set(aside) == {1, 2, 3, 4}
    assert f"is number {good.number}" in aside[3]


def test_a_kind_that_this_program_does_not_know_is_put_aside_until_a_version_that_it_knows(
    kit: Kit, workshop: Workshop
) -> None:
    kit.inbox.take(sealed(1000, workshop.keys.signing, kind="weather"))
    assert "does not know the kind 'weather'" in kit.whys("forged/en")[0]
    bad = Change(
        format="fieldkit-change/1",
        number=1001,
        kit="",
        kind="text",
        subject="forged/en",
        version=1,
        body={**msgspec.to_builtins(text("x", "forged")), "colour": "red"},
    )
    kit.inbox.take(seal_change(bad, workshop.keys.signing))
    assert any("colour" in why for why in kit.whys("forged/en"))
    kit.inbox.take(sealed(1002, workshop.keys.signing, version=2, words="Mended."))
    assert kit.text("forged") == [(2, "Mended.")]
    assert [one.kind for one in kit.inbox.put_aside()] == ["weather"]


def test_other_content_under_a_known_version_is_told(kit: Kit, workshop: Workshop) -> None:
    kit.inbox.take(sealed(1000, workshop.keys.signing, words="One."))
    kit.inbox.take(sealed(1001, workshop.keys.signing, words="Other."))
    assert kit.text("forged") == [(1, "One.")]
    assert "came before with other content" in kit.whys("forged/en")[0]


def test_an_order_of_another_kit_is_not_handed_out_and_not_taken(
    kit: Kit, workshop: Workshop
) -> None:
    database, key = workshop.hub.database, workshop.keys.signing

    def tell(body: Order | OrderGone, to: str) -> Change:
        return database.write(
            lambda tables: publish(database, tables, key, "order", ORDER, body, kit=to)
        )

    other = tell(order(), "SHA256:other")
    assert kit.fetch() == 0
    assert all(one.number != other.number for one in kit.hub.changes(0).changes)
    kit.inbox.take(seal_change(other, key))
    assert kit.orders() == []
    assert any("for another kit" in one.why for one in kit.inbox.put_aside())
    tell(order(), kit.id)
    kit.fetch()
    assert kit.orders() == ["W-7K3F2"]
    tell(OrderGone(order=ORDER, state="elsewhere"), kit.id)
    kit.fetch()
    assert kit.orders() == []
    told = "".join(one.document for one in kit.hub.changes(0).changes)
    assert "Zoë" not in told, "whoever comes late is told of no customer whose order is over"


def test_a_profile_is_installed_only_if_the_workshop_signed_it_and_can_be_taken_back(
    kit: Kit, workshop: Workshop
) -> None:
    def issued(key: Ed25519PrivateKey, document: bytes = PROFILE) -> ProfileIssued:
        signature = sign(document, key, NAMESPACE_PROFILE).decode()
        return ProfileIssued(name="generic-uds", document=document.decode(), signature=signature)

    stranger = Ed25519PrivateKey.generate()
    workshop.hub.publish("profile", "generic-uds", issued(stranger))
    kit.fetch()
    assert "does not hold" in kit.whys("generic-uds")[0]
    with pytest.raises(BadInputError):
        load_profile("generic-uds", kit.state)

    workshop.hub.publish("profile", "generic-uds", issued(workshop.keys.signing))
    kit.fetch()
    assert load_profile("generic-uds", kit.state).profile.name == "generic-uds"
    assert kit.whys("generic-uds") == []

    renamed = PROFILE.replace(b'name = "generic-uds"', b'name = "other"')
    workshop.hub.publish("profile", "generic-uds", issued(workshop.keys.signing, renamed))
    kit.fetch()
    assert "the profile is not" in kit.whys("generic-uds")[0]
    assert load_profile("generic-uds", kit.state).profile.name == "generic-uds"

    name = "profile/generic-uds"
    workshop.hub.publish("revocation", name, Revocation(what="profile", name="generic-uds"))
    kit.fetch()
    with pytest.raises(BadInputError):
        load_profile("generic-uds", kit.state)


@pytest.mark.parametrize("name", ["../../kit", "..", "a/b", ""])
def test_a_name_that_leads_out_of_the_folder_is_put_aside(
    kit: Kit, workshop: Workshop, name: str
) -> None:
    before, subject = sorted(kit.state.rglob("*")), f"path {name}"
    signature = sign(PROFILE, workshop.keys.signing, NAMESPACE_PROFILE).decode()
    issued = ProfileIssued(name=name, document=PROFILE.decode(), signature=signature)
    workshop.hub.publish("profile", subject, issued)
    for what in ("profile", "technician"):
        revoked = msgspec.convert({"what": what, "name": name}, Revocation)
        workshop.hub.publish("revocation", f"{subject} {what}", revoked)
    kit.fetch()
    whys = [kit.whys(f"{subject}{more}") for more in ("", " profile", " technician")]
    assert [len(why) for why in whys] == [1, 1, 1]
    assert sorted(kit.state.rglob("*")) == before


def test_a_technician_who_is_revoked_is_gone_but_never_the_last_owner(
    kit: Kit, workshop: Workshop
) -> None:
    for name in (TECHNICIAN, OWNER):
        revoked = Revocation(what="technician", name=name)
        workshop.hub.publish("revocation", f"technician/{name}", revoked)
    kit.fetch()
    assert list_technicians(kit.state) == [(OWNER, "owner")]
    signers = (kit.state / "trust" / "allowed_signers").read_text()
    assert f"technician:{TECHNICIAN}" not in signers
    assert f"technician:{OWNER}" in signers
    assert "only owner" in kit.whys(f"technician/{OWNER}")[0]


def lines_of(state: Path, name: str) -> list[str]:
    signers = (state / "trust" / "allowed_signers").read_text().splitlines()
    return [line for line in signers if line.startswith(f"technician:{name} ")]


def test_a_technician_of_the_workshop_opens_a_kit_that_never_saw_them_and_signs_there(
    kit: Kit, workshop: Workshop
) -> None:
    add_technician(workshop.hub, "thandi", "technician", SENT_PASSPHRASE, "Olga")
    with pytest.raises(PassphraseError):
        unlock(kit.state, "thandi", SENT_PASSPHRASE)
    kit.fetch()
    opened = unlock(kit.state, "thandi", SENT_PASSPHRASE)
    owner = unlock(kit.state, OWNER, OWNER_PASSPHRASE)
    assert opened.database_key == owner.database_key
    assert opened.technician.role == "technician"
    with pytest.raises(PassphraseError, match="do not fit"):
        unlock(kit.state, "thandi", OWNER_PASSPHRASE)
    (line,) = lines_of(kit.state, "thandi")
    assert public_line(opened.technician.signing_key) in line
    with pytest.raises(UsageError, match="already"):
        add_technician(workshop.hub, "thandi", "owner", SENT_PASSPHRASE, "Olga")
    with workshop.hub.database.reading() as tables:
        kept = " ".join(str(row.document) for row in tables.changes.select())
    assert SENT_PASSPHRASE not in kept

    change_passphrase(kit.state, "thandi", SENT_PASSPHRASE, "only on this one kit")
    kit.inbox.take(kit.hub.changes(0).changes[-1])  # it comes again
    assert unlock(kit.state, "thandi", "only on this one kit").database_key == owner.database_key
    assert lines_of(kit.state, "thandi") == [line]


def test_a_technician_who_is_removed_at_the_workshop_is_gone_and_can_come_back_with_new_keys(
    kit: Kit, workshop: Workshop
) -> None:
    add_technician(workshop.hub, "sipho", "owner", SENT_PASSPHRASE, "Olga")
    kit.fetch()
    (line,) = lines_of(kit.state, "sipho")
    remove_technician(workshop.hub, "sipho", "Olga")
    kit.fetch()
    assert lines_of(kit.state, "sipho") == []
    with pytest.raises(PassphraseError):
        unlock(kit.state, "sipho", SENT_PASSPHRASE)
    (there,) = [one for one in kit_technicians(workshop.hub) if one.name == "sipho"]
    assert there.removed > 0
    with pytest.raises(NotThere, match="no technician 'sipho'"):
        remove_technician(workshop.hub, "sipho", "Olga")

    add_technician(workshop.hub, "sipho", "technician", "another sentence of his", "Olga")
    kit.fetch()
    assert unlock(kit.state, "sipho", "another sentence of his").technician.role == "technician"
    assert lines_of(kit.state, "sipho") not in ([], [line])
    assert kit.whys("sipho") == []


def test_a_kit_that_was_away_meanwhile_takes_the_new_keys_or_the_removal(
    kit: Kit, workshop: Workshop
) -> None:
    """It is told only the newest of what it missed, and the sealed keys before are kept nowhere."""
    hub, words = workshop.hub, ("first long passphrase", "second long passphrase", "third of them")
    add_technician(hub, "naledi", "technician", words[0], "Olga")
    kit.fetch()
    for passphrase in words[1:]:
        remove_technician(hub, "naledi", "Olga")
        add_technician(hub, "naledi", "technician", passphrase, "Olga")
    kit.fetch()
    assert kit.whys("naledi") == []
    assert unlock(kit.state, "naledi", words[2]).technician.name == "naledi"
    with pytest.raises(PassphraseError):
        unlock(kit.state, "naledi", words[0])
    assert len(lines_of(kit.state, "naledi")) == 1

    remove_technician(hub, "naledi", "Olga")
    add_technician(hub, "naledi", "technician", words[0], "Olga")
    remove_technician(hub, "naledi", "Olga")
    kit.fetch()
    assert lines_of(kit.state, "naledi") == []
    with hub.database.reading() as tables:
        changes = tables.changes
        told = [row.document for row in changes.select().where(changes.subject == "naledi")]
    assert len(told) == 1
    assert "ciphertext" not in told[0]


def test_a_technician_whom_the_kit_has_of_its_own_stays_who_they_are(
    kit: Kit, workshop: Workshop
) -> None:
    owner = unlock(kit.state, OWNER, OWNER_PASSPHRASE)
    identity.add_technician(owner, "anton", "technician", "another long sentence")
    before = lines_of(kit.state, "anton")
    add_technician(workshop.hub, "anton", "owner", SENT_PASSPHRASE, "Olga")
    kit.fetch()
    assert "has another technician 'anton'" in kit.whys("anton")[0]
    assert "Let the workshop use another name" in kit.whys("anton")[0]
    assert lines_of(kit.state, "anton") == before
    assert unlock(kit.state, "anton", "another long sentence").technician.role == "technician"

    remove_technician(workshop.hub, "anton", "Olga")
    kit.fetch()
    assert lines_of(kit.state, "anton") == before, "he is not the one who was removed"
    assert kit.whys("anton") == []


def test_what_was_put_aside_is_taken_once_its_reason_has_gone(kit: Kit, workshop: Workshop) -> None:
    owner = unlock(kit.state, OWNER, OWNER_PASSPHRASE)
    identity.add_technician(owner, "bongi", "technician", "another long sentence")
    add_technician(workshop.hub, "bongi", "technician", SENT_PASSPHRASE, "Olga")
    publish_text(workshop.hub.database, workshop.keys.signing, "later", "en", "Later.")
    kit.fetch()
    assert len(kit.whys("bongi")) == 1
    identity.remove_technician(kit.state, "bongi")
    kit.fetch()
    assert len(kit.whys("bongi")) == 1, "by itself it does not begin anew"
    kit.inbox.try_again()
    kit.fetch()
    assert kit.whys("bongi") == []
    assert unlock(kit.state, "bongi", SENT_PASSPHRASE).technician.name == "bongi"
    assert kit.text("later") == [(1, "Later.")]
    assert kit.fetch() == 0


def test_a_power_cut_between_trust_and_slot_is_mended_when_the_change_comes_again(
    kit: Kit, workshop: Workshop
) -> None:
    issued = issue_technician("lerato", "technician", SENT_PASSPHRASE)
    sealed_one = told_of(fields_of(issued), "lerato", workshop.keys.signing)
    slots = kit.state / "keys" / "technicians"
    away = slots.rename(kit.state / "away")
    with pytest.raises(UnavailableError, match="cannot write down lerato"):
        kit.inbox.take(sealed_one)
    away.rename(slots)
    assert lines_of(kit.state, "lerato") != []
    kit.inbox.take(sealed_one)
    assert unlock(kit.state, "lerato", SENT_PASSPHRASE).technician.name == "lerato"
    assert kit.whys("lerato") == []


@pytest.mark.parametrize(
    ("wrong", "why"),
    [
        ({"name": "../../kit"}, "names '../../kit'"),
        ({"role": "workshop"}, "cannot be read"),
        ({"kdf": {"name": "argon2id", "memory_kib": 1 << 30, "passes": 3, "lanes": 1}}, "read"),
        ({"kdf": {"name": "argon2id", "memory_kib": 8192, "passes": 99, "lanes": 1}}, "read"),
        ({"key": "ssh-rsa AAAA"}, "is not an 'ssh-ed25519"),
        ({"recipient": "age1nobody"}, "not an age X25519 recipient"),
        ({"colour": "red"}, "cannot be read"),
    ],
)
def test_a_technician_who_cannot_be_is_put_aside_and_nothing_is_written(
    kit: Kit, workshop: Workshop, wrong: dict[str, object], why: str
) -> None:
    issued = issue_technician("forged", "technician", SENT_PASSPHRASE)
    before = (kit.state / "trust" / "allowed_signers").read_bytes()
    kit.inbox.take(told_of({**fields_of(issued), **wrong}, "forged", workshop.keys.signing))
    assert why in kit.whys("forged")[0]
    assert (kit.state / "trust" / "allowed_signers").read_bytes() == before
    assert "forged" not in dict(list_technicians(kit.state))


@pytest.mark.parametrize("name", ["../kit", "ju\u0308rgen", "two words", ""])
def test_a_technicians_name_is_one_that_files_and_signatures_carry(
    kit: Kit, workshop: Workshop, name: str
) -> None:
    issued = issue_technician("forged", "technician", SENT_PASSPHRASE)
    before = list_technicians(kit.state)
    subject = name or "x"
    kit.inbox.take(told_of({**fields_of(issued), "name": name}, subject, workshop.keys.signing))
    assert len(kit.whys(subject)) == 1
    assert list_technicians(kit.state) == before


def fields_of(issued: IssuedTechnician) -> dict[str, object]:
    fields: dict[str, object] = msgspec.to_builtins(issued)
    return fields


def told_of(fields: dict[str, object], subject: str, key: Ed25519PrivateKey) -> Numbered:
    change = Change(
        format="fieldkit-change/1",
        number=5000,
        kit="",
        kind="technician",
        subject=subject,
        version=1,
        body=fields,
    )
    return seal_change(change, key)


def test_many_changes_come_a_page_at_a_time_and_a_cut_goes_on_from_there(
    kit: Kit, workshop: Workshop
) -> None:
    for number in range(PAGE + 5):
        workshop.hub.publish("text", f"many/{number}", text(f"Number {number}.", "many"))
    asked: list[int] = []

    def ask(after: int) -> Changes:
        asked.append(after)
        if len(asked) == 2:
            raise BadInputError("Cut.", "Go on.")
        return kit.hub.changes(after)

    with pytest.raises(BadInputError, match="Cut"):
        kit.inbox.fetch(ask, lambda: True)
    assert kit.text("many")[0][1] == f"Number {PAGE - 1}."
    assert kit.inbox.fetch(ask, lambda: True) == 5
    assert kit.text("many")[0][1] == f"Number {PAGE + 4}."
    assert asked[1] == asked[2]


def test_a_workshop_that_was_set_back_is_listened_to_again(kit: Kit, workshop: Workshop) -> None:
    key = workshop.keys.signing
    kit.inbox.take(sealed(5000, key, version=7))
    fresh = sealed(3, key, version=8, words="After the restore.")

    def ask(after: int) -> Changes:
        return Changes(changes=[fresh] if after < 3 else [], more=False, last=3)

    assert kit.inbox.fetch(ask, lambda: True) == 1
    assert kit.text("forged") == [(8, "After the restore.")]


def test_a_kit_that_was_shut_out_is_told_nothing(kit: Kit, workshop: Workshop) -> None:
    workshop.hub.revoke(kit.id)
    with pytest.raises(Paused):
        kit.hub.changes(0)


def test_nobody_who_reads_while_many_write_misses_a_change(workshop: Workshop) -> None:
    """Each writer has a connection of its own to the database, as several hubs have."""
    database = workshop.hub.database
    with database.reading() as tables:
        start = changes_for(tables, "", 0).last
    seen: list[int] = []
    writing = threading.Event()
    writing.set()

    def write(writer: int) -> None:
        for count in range(12):
            workshop.hub.publish(
                "text", f"race/{writer}/{count}", text(f"{writer} {count}", "race")
            )

    def read() -> None:
        at, last_turn = start, False
        while not last_turn:
            last_turn = not writing.is_set()
            with database.reading() as tables:
                page = changes_for(tables, "", at)
            seen.extend(one.number for one in page.changes)
            at = seen[-1] if seen else start

    with ThreadPoolExecutor(6) as pool:
        reader = pool.submit(read)
        for future in [pool.submit(write, number) for number in range(4)]:
            future.result()
        writing.clear()
        reader.result()
    assert seen == list(range(start + 1, start + 49))


def test_the_tables_are_there_for_a_hub_that_is_older(tmp_path: Path) -> None:
    path = str(tmp_path / "hub.db")
    older = HubDatabase(path)
    older.write(lambda tables: [one.drop_table() for one in (tables.changes, tables.counters)])
    with HubDatabase(path).reading() as tables:
        assert changes_for(tables, "", 0) == Changes(changes=[], more=False, last=0)
