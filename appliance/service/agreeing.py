"""The customer's agreements: which a plan needs, the words to be read, and how they are signed."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

from appliance.api import messages as m
from appliance.identity import Unlocked, sign_agreement
from appliance.profiles.loader import load_profile
from appliance.records.events import AgreementSigned
from appliance.service.book import Book
from hw.agreement import needed_texts
from hw.config import load_config
from hw.errors import BadInputError, FieldKitError, UsageError
from hw.plan import decode_plan
from hw.statements import MAX_POINTS, PAD_WIDTH, TEXT_NAMES, Point, TextName
from hw.texts import Text, kept_texts
from hw.trust import load_signers, read_profile

LEAST_POINTS = 8
LEAST_LENGTH = PAD_WIDTH // 4
LEAST_MS = 300
"""What is shorter is a touch of the pad and nobody's signature."""


@dataclass(frozen=True)
class AgreementDesk:
    """Reads and signs for one opened kit. The gate is hw's; here nothing is let pass.

    Args:
        unlocked: the kit, opened by the technician who witnesses.
        book: the jobs' records.
    """

    unlocked: Unlocked
    book: Book

    def needed(self, document: bytes) -> list[TextName]:
        """The texts that hw will demand for a plan; none where its profile is no longer here, over
        which the gates refuse it anyway.

        Raises:
            BadInputError: the bytes are not a plan of this version.
        """
        plan, state = decode_plan(document), self.unlocked.state
        try:
            loaded = load_profile(plan.profile, state)
            profile = read_profile(loaded.path, plan.profile_sha256, load_signers(state))
        except FieldKitError:
            return []
        return needed_texts(plan, profile, load_config(state).agreements)

    def texts(self, job: str, plan: str, language: str) -> m.Agreements:
        """The texts that a plan needs, or all where none is named; signed ones say by whom.

        Args:
            job: id of the job.
            plan: digest of a plan that this kit made, or empty.
            language: wished for, where there is a text in it.

        Raises:
            FieldKitError: the plan or a text is not there.
        """
        names = self.needed(self.book.plan(plan).document) if plan else list(TEXT_NAMES)
        signed = self.book.agreements(job)
        return m.Agreements(
            agreements=[self._view(name, language, signed.get(name)) for name in names]
        )

    def sign(self, job: str, asked: m.Agree) -> m.Okay:
        """Put the customer's agreement on the job's record, signed by its witness.

        Raises:
            UsageError: the words are not those that hold now, or the car is not known.
            BadInputError: what was drawn is no signature.
        """
        text = self._read(asked)
        vin = self.book.vin(job)
        if not vin:
            raise UsageError(
                "An agreement is for one car, and the kit does not know the VIN of this job's.",
                "Read an ECU of the car on this job first.",
            )
        customer = " ".join(asked.customer.split())
        if not customer:
            raise UsageError("The customer's name is missing.", "Enter the name of who signs.")
        agreement = sign_agreement(
            self.unlocked,
            asked.text,
            text,
            customer=customer,
            strokes=checked_strokes(asked.strokes),
            job=job,
            vin=vin,
        )
        self.book.append(
            job,
            AgreementSigned(
                text=text.content,
                statement=agreement.document.decode(),
                signature=agreement.signature.decode(),
            ),
        )
        return m.Okay(what=f"{customer} signed '{text.title}'.")

    def _view(
        self, name: TextName, language: str, signed: AgreementSigned | None
    ) -> m.AgreementView:
        held = kept_texts(self.unlocked.state, name).held
        text = held.get(language) or held.get("en") or next(iter(held.values()))
        agreed = signed.agreed if signed is not None else None
        holds = agreed is not None and agreed.text_sha256 in {one.sha256 for one in held.values()}
        return m.AgreementView(
            text=name,
            title=text.title,
            version=text.version,
            language=text.language,
            languages=sorted(held),
            content=text.content,
            sha256=text.sha256,
            customer=agreed.customer if agreed is not None and holds else "",
            wall=agreed.made.wall if agreed is not None and holds else "",
        )

    def _read(self, asked: m.Agree) -> Text:
        """The text that was read, if it is still the one that holds."""
        for text in kept_texts(self.unlocked.state, asked.text).held.values():
            if text.sha256 == asked.sha256:
                return text
        raise UsageError(
            "These words do not hold any more: there is a newer text.",
            "Have the customer read the text again.",
        )


def checked_strokes(strokes: Sequence[Sequence[Point]]) -> list[list[Point]]:
    """What was drawn, if it can be somebody's signature, with no more points than a record takes.

    Raises:
        BadInputError: it is too little, or its times go back.
    """
    points = [point for stroke in strokes for point in stroke]
    times = [at for _, _, at in points]
    if times != sorted(times):
        raise BadInputError(
            "The times of the signature go back.", "Clear the pad and have them sign again."
        )
    drawn = sum(
        math.dist(one[:2], other[:2])
        for stroke in strokes
        for one, other in itertools.pairwise(stroke)
    )
    if len(points) < LEAST_POINTS or drawn < LEAST_LENGTH or times[-1] - times[0] < LEAST_MS:
        raise BadInputError(
            "What was drawn is too short for a signature.",
            "Clear the pad and have the customer sign with their whole name.",
        )
    return _thinned(strokes)


def _thinned(strokes: Sequence[Sequence[Point]]) -> list[list[Point]]:
    """Every n-th point of each stroke and its last one, with the least n that is enough."""
    step = 1
    while (
        sum(map(len, kept := [[*stroke[:-1:step], stroke[-1]] for stroke in strokes])) > MAX_POINTS
    ):
        step += 1
    return kept
