"""`Kit`: all models of the screen, wired together. What `ui.app` makes and the screens look at."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date, datetime
from pathlib import Path

from ui.models.about import AboutModel
from ui.models.acknowledge import AcknowledgeModel
from ui.models.agree import AgreeModel
from ui.models.backend import Asks, Backend, Post, Seen
from ui.models.backups import BackupsModel
from ui.models.desk import Desk, DeskState
from ui.models.gates import GatesModel
from ui.models.home import HomeModel
from ui.models.links import DefaultLink, LinksModel
from ui.models.media import MediaModel
from ui.models.messages import MessagesModel
from ui.models.navigation import NavigationModel, NavigationState
from ui.models.network import NetworkModel
from ui.models.new_job import NewJobModel
from ui.models.opening import Opening
from ui.models.orders import OrdersModel
from ui.models.place import PlaceFile
from ui.models.plan import PlanModel
from ui.models.records import RecordsModel
from ui.models.recovery import RecoveryModel
from ui.models.rest import RestModel
from ui.models.result import ResultModel
from ui.models.sensor import SensorModel
from ui.models.shared import Shared
from ui.models.status import StatusModel
from ui.models.technicians import TechniciansModel
from ui.models.unlock import IDLE_LOCK_S, UnlockModel
from ui.models.vehicle import VehicleModel
from ui.models.words import Screen
from ui.models.work import WorkModel
from ui.models.workshop import WorkshopModel
from ui.models.write import WriteModel

OF_A_JOB: frozenset[Screen] = frozenset(
    {"vehicle", "work", "plan", "agree", "gates", "acknowledge", "result"}
)
"""Screens that show the job in hand, so that it must be on the desk."""


@dataclass(frozen=True)
class Preferences:
    """What was set at this screen and models go by.

    Attributes:
        link: the link that is chosen beforehand.
        dark_after_s: the screen goes dark when nobody touched it for so long; 0 for never.
    """

    link: DefaultLink = field(default_factory=DefaultLink)
    dark_after_s: Callable[[], float] = lambda: 0.0


class Kit:
    """One of each model. `start` it, `close` it, or use it as a context manager.

    A model's `open` is called here whenever its screen comes up; screens need not.

    Args:
        client_factory: makes a client of the appliance.
        post: runs a callable on the screen's thread, soon and in order.
        place_file: where the place in a job is kept, in the screen's own state folder.
        now: seconds that never go back.
        today: the date at the technician's place.
        idle_lock_s: the kit locks itself when nobody touched the screen for so long.
        preferences: what was set at this screen.
    """

    def __init__(
        self,
        client_factory: Asks,
        post: Post,
        place_file: Path,
        now: Callable[[], float] = time.monotonic,
        *,
        today: Callable[[], date] = lambda: datetime.now().astimezone().date(),
        idle_lock_s: float = IDLE_LOCK_S,
        preferences: Preferences | None = None,
    ) -> None:
        self.backend = Backend(client_factory, post, now)
        self.desk = Desk()
        self.messages = MessagesModel()
        self.navigation = NavigationModel(self.backend, PlaceFile(place_file))
        shared = Shared(self.backend, self.navigation, self.messages, self.desk)
        self._opening = Opening(self.backend, self.desk, self.navigation, self.messages)

        self.status = StatusModel(shared)
        self.unlock = UnlockModel(shared, idle_lock_s)
        self.home = HomeModel(shared, self._opening.take, today)
        self.new_job = NewJobModel(shared)
        preferences = preferences or Preferences()
        self.vehicle = VehicleModel(shared, preferences.link)
        self.plan = PlanModel(shared)
        self.work = WorkModel(shared, self.vehicle, self.plan.compile)
        self.agree = AgreeModel(shared)
        self.gates = GatesModel(shared, self.agree.sign_anew)
        self.write = WriteModel(shared, self._write_ended)
        self.acknowledge = AcknowledgeModel(shared, self.gates, self.write.started)
        self.recovery = RecoveryModel(shared, self.plan)
        self.result = ResultModel(shared, self.recovery.recover)
        self.backups = BackupsModel(shared)
        self.records = RecordsModel(shared)
        self.orders = OrdersModel(shared, self._opening.take)
        self.rest = RestModel(shared, preferences.dark_after_s)
        self.technicians = TechniciansModel(shared)
        self.media = MediaModel(shared)
        self.sensor = SensorModel(shared)
        self.network = NetworkModel(shared)
        self.workshop = WorkshopModel(shared)
        self.links = LinksModel(shared, preferences.link)
        self.about = AboutModel(shared)

        self._open: dict[Screen, Callable[[], None]] = {
            "unlock": self.unlock.open,
            "home": self.home.open,
            "new_job": self.new_job.open,
            "vehicle": self.vehicle.open,
            "work": self.work.open,
            "plan": self.plan.open,
            "agree": self.agree.open,
            "gates": self.gates.open,
            "acknowledge": self.acknowledge.open,
            "result": self.result.open,
            "recovery": self.recovery.open,
            "backups": self.backups.open,
            "records": self.records.open,
            "orders": self.orders.open,
        }
        self._shown: Screen = "gone"
        self.backend.subscribe(self._put_away)
        self.desk.subscribe(self._note_job)
        self.navigation.subscribe(self._entered)

    def __enter__(self) -> Kit:
        self.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()

    def start(self) -> None:
        """Begin to ask the appliance."""
        self.backend.start()

    def close(self) -> None:
        """End all threads. A write that runs goes on without a screen."""
        self.backend.close()

    # Wiring -----------------------------------------------------------------------------------

    def _entered(self, state: NavigationState) -> None:
        if state.screen == self._shown:
            return
        self._shown = state.screen
        job = self.navigation.place.job
        if state.screen in OF_A_JOB and job != self.desk.state.job:
            if job:
                self._opening.take_again(self._open_shown)
            else:
                self.navigation.home()
            return
        self._open_shown()

    def _open_shown(self) -> None:
        if (opened := self._open.get(self._shown)) is not None:
            opened()

    def _put_away(self, seen: Seen) -> None:
        """A locked kit shows nothing of a customer; the job is read back after the unlock."""
        if seen.status is not None and seen.status.locked and self.desk.state.job:
            self.desk.clear()

    def _note_job(self, state: DeskState) -> None:
        if state.job:
            self.navigation.note(job=state.job)

    def _write_ended(self, job: str) -> None:
        self.navigation.go("result", job=job, recovers=False, resumes=False)
