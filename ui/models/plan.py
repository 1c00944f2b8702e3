"""The plan: what will be done in plain words, how long it takes, and what can go wrong."""

from __future__ import annotations

from collections.abc import Callable

from msgspec import Struct

from appliance.client import Client, messages
from ui.i18n import _
from ui.models import words
from ui.models.shared import Asking, AskingState, Shared
from ui.models.window import Window, window_of


class PlanStep(Struct, frozen=True, kw_only=True):
    """A step of the plan: what kind it is (`kind_word` is how that is shown), and the appliance's
    words.
    """

    number: int
    kind: messages.StepKind
    kind_word: str
    text: str


class WhatIf(Struct, frozen=True, kw_only=True):
    """Something that can go wrong, and what happens then."""

    what: str
    then: str


class PlanState(AskingState, frozen=True, kw_only=True):
    """Attributes:
    title, ecu, link: what is written, and where.
    risk_class: coding, programming, restore, immobiliser or dtc_modification.
    recovers: it finishes an interrupted write.
    head: lines before the steps.
    steps: every request to the ECU, in order.
    tail: lines behind the steps: what is restored on every way out.
    duration: how long it takes.
    payload: how much is written.
    risk_text: what the profile says of the risk.
    what_if: what can go wrong, and what then.
    window: limits of the supply.
    digest: names the plan; empty while there is none.
    """

    title: str = ""
    ecu: str = ""
    link: str = ""
    risk_class: str = ""
    recovers: bool = False
    head: tuple[str, ...] = ()
    steps: tuple[PlanStep, ...] = ()
    tail: tuple[str, ...] = ()
    duration: str = ""
    payload: str = ""
    risk_text: str = ""
    what_if: tuple[WhatIf, ...] = ()
    window: Window | None = None
    digest: str = ""


class PlanModel(Asking[PlanState]):
    """Compiles and shows plans. Nothing that is done here sends anything but reads."""

    def __init__(self, shared: Shared) -> None:
        super().__init__(PlanState(), shared)

    def open(self) -> None:
        """The screen is shown: the plan in hand."""
        self._show()

    def compile(
        self, action: Callable[[Client], messages.PlanView], *, recovers: bool = False
    ) -> None:
        """Compile a plan and open this screen."""
        self._shared.desk.put_plan_away()
        self._show()
        self._shared.navigation.go("plan", recovers=recovers, resumes=False)
        self._ask(action, lambda plan: self._compiled(plan, recovers=recovers))

    def go_on(self) -> None:
        """On to the gates, by way of what the customer must sign."""
        plan = self._shared.desk.plan
        if plan is not None:
            self._shared.navigation.go("agree" if plan.agreements else "gates")

    def _compiled(self, plan: messages.PlanView, *, recovers: bool) -> None:
        self._shared.desk.take_plan(plan, recovers=recovers)
        self._show()

    def _show(self) -> None:
        plan = self._shared.desk.plan
        if plan is None:
            empty = PlanState()
            self._change(**{name: getattr(empty, name) for name in PlanState.__struct_fields__})
            return
        told = plan.description
        self._change(
            title=plan.title,
            ecu=plan.ecu,
            link=plan.link,
            risk_class=plan.risk_class,
            recovers=self._shared.desk.state.recovers,
            head=tuple(told.head),
            steps=tuple(
                PlanStep(
                    number=number,
                    kind=step.kind,
                    kind_word=words.step_kind(step.kind),
                    text=step.text,
                )
                for number, step in enumerate(told.steps, 1)
            ),
            tail=tuple(told.tail),
            duration=told.duration,
            payload=words.size(plan.payload_bytes) if plan.payload_bytes else "",
            risk_text=plan.risk_text,
            what_if=what_if(plan),
            window=window_of(plan),
            digest=plan.digest,
        )


def what_if(plan: messages.PlanView) -> tuple[WhatIf, ...]:
    """What can go wrong in any write, and what the kit does then."""
    window = plan.window
    return (
        WhatIf(
            what=_("The voltage sags below {volts:g} V").format(volts=window.hold_v),
            then=_(
                "The write is held and goes on by itself after {seconds:g} s above {volts:g} V."
            ).format(seconds=window.resume_after_s, volts=window.resume_v),
        ),
        WhatIf(
            what=_("It falls below {low:g} V, rises above {high:g} V or cannot be measured").format(
                low=window.cut_v, high=window.over_v
            ),
            then=_("The write is cut. It goes on after a new acknowledgment, or is recovered."),
        ),
        WhatIf(
            what=_("The kit or its supply fails"),
            then=_("The journal says where it stopped. Recovery finishes the write."),
        ),
        WhatIf(
            what=_("The ECU answers with an error or not at all"),
            then=_(
                "The write stops where it can be recovered. Nothing is called done that is not."
            ),
        ),
    )
