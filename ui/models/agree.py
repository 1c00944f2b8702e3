"""The customer's agreements: a text is read to its end, a name typed, and signed with a finger."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from appliance.client import messages
from ui import i18n
from ui.models.shared import Asking, AskingState, Shared

Stroke = Sequence[tuple[int, int, int]]
"""Points of the pad: x and y in thousandths of its width, y downwards, and milliseconds."""
Took = Callable[[Sequence[messages.AgreementView]], None]


class AgreeState(AskingState, frozen=True, kw_only=True):
    """Attributes:
    title, paragraphs: the text to be read; empty while it is not there.
    sha256: names its words.
    language, other_language: its own, and another one that it can be read in; empty for none.
    number, count: which of how many texts this is.
    customer: the name of who signs.
    read: the text was seen to its end.
    can_sign: it was, and the name is there.
    signing: the pad is shown instead of the text.
    """

    title: str = ""
    paragraphs: tuple[str, ...] = ()
    sha256: str = ""
    language: str = ""
    other_language: str = ""
    number: int = 0
    count: int = 0
    customer: str = ""
    read: bool = False
    can_sign: bool = False
    signing: bool = False


class AgreeModel(Asking[AgreeState]):
    """Leads through the texts that the plan in hand needs, one after the other, to the gates."""

    def __init__(self, shared: Shared) -> None:
        super().__init__(AgreeState(), shared)
        self._texts: list[messages.AgreementView] = []
        self._at = 0
        self._anew = False

    def open(self) -> None:
        """The screen is shown: what is not signed yet, or all where the gates took none of it."""
        anew, self._anew = self._anew, False
        self._texts, self._at = [], 0
        self._clear()
        self._fetch(i18n.language(), lambda found: self._begin(found, anew=anew))

    def sign_anew(self) -> None:
        """The gates refused what was signed: have all of it signed again."""
        self._anew = True
        self._shared.navigation.go("agree")

    def turn_language(self) -> None:
        """Show the text in the next of its languages."""
        if self.state.other_language:
            self._fetch(self.state.other_language, self._replace)

    def read_to_end(self) -> None:
        """The end of the text was seen."""
        self._change(read=bool(self.state.paragraphs))
        self._look()

    def enter(self, customer: str) -> None:
        """The name of who signs."""
        self._change(customer=" ".join(customer.split()))
        self._look()

    def begin_signing(self) -> None:
        """Show the pad."""
        if self.state.can_sign:
            self._change(signing=True, what="", next_step="")

    def back_to_text(self) -> None:
        """Show the text again: as it is now, if it was replaced meanwhile."""
        self._change(signing=False)
        self._fetch(self.state.language, self._replace)

    def sign(self, strokes: Sequence[Stroke]) -> None:
        """The customer has signed."""
        if not self.state.signing or self.state.busy:
            return
        job, text = self._shared.desk.state.job, self._texts[self._at]
        request = messages.Agree(
            text=text.text,
            sha256=text.sha256,
            customer=self.state.customer,
            strokes=[list(stroke) for stroke in strokes],
        )
        self._ask(lambda client: client.agree(job, request), lambda _okay: self._signed())

    def _fetch(self, language: str, came: Took) -> None:
        desk = self._shared.desk.state
        self._ask(
            lambda client: client.agreements(desk.job, desk.plan, language),
            lambda reply: came(reply.agreements),
        )

    def _begin(self, found: Sequence[messages.AgreementView], *, anew: bool) -> None:
        self._texts = [text for text in found if anew or not text.customer]
        self._show()

    def _replace(self, found: Sequence[messages.AgreementView]) -> None:
        by_name = {text.text: text for text in found}
        self._texts = [by_name.get(text.text, text) for text in self._texts]
        self._show()

    def _signed(self) -> None:
        self._at += 1
        self._clear(customer=self.state.customer)
        self._show()

    def _show(self) -> None:
        if self._at >= len(self._texts):
            self._shared.navigation.go("gates")
            return
        text = self._texts[self._at]
        known = text.languages
        other = known[(known.index(text.language) + 1) % len(known)]
        self._change(
            title=text.title,
            # The first line is the title.
            paragraphs=tuple(text.content.split("\n")[1:]),
            language=text.language,
            other_language=other if other != text.language else "",
            number=self._at + 1,
            count=len(self._texts),
            read=self.state.read and text.sha256 == self.state.sha256,
            sha256=text.sha256,
        )
        self._look()

    def _look(self) -> None:
        self._change(can_sign=self.state.read and bool(self.state.customer))

    def _clear(self, customer: str = "") -> None:
        """Nothing is read or signed; the same person mostly signs the next text, too."""
        empty = AgreeState(customer=customer)
        self._change(**{name: getattr(empty, name) for name in AgreeState.__struct_fields__})
