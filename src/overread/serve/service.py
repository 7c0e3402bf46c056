"""All that is at work behind the doors: the store, the model, who takes in, and who answers."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field

from overread.serve.answering import Answerer
from overread.serve.bell import Bell
from overread.serve.intake import Intake
from overread.serve.jobs import Jobs, JobSettings
from overread.serve.limits import IntakeSettings
from overread.serve.model import ServedModel
from overread.serve.store import Store
from overread.serve.sweeping import sweep_quietly


@dataclass
class Service:
    """One process that takes images in and answers. `start` it, and `stop` it."""

    store: Store
    model: ServedModel
    intake_settings: IntakeSettings = field(default_factory=IntakeSettings)
    job_settings: JobSettings = field(default_factory=JobSettings)

    def __post_init__(self) -> None:
        self.bell = Bell()
        self.on_answer: Callable[[int], object] = lambda n: None
        """called with the number of frames that were answered"""
        self.answerer = Answerer(self.store, self.model, on_answer=self._answered)
        self.intake = Intake(self.store, self.intake_settings)
        self.jobs = Jobs(self.intake, self.job_settings, on_new=self.answerer.wake)

    def _answered(self, images: list[str], n_frames: int) -> None:
        self.bell.ring(images)
        self.on_answer(n_frames)

    def start(self) -> None:
        """Go on with what waits, and take in what comes."""
        self.answerer.start()
        self.jobs.start()
        threading.Thread(target=sweep_quietly, args=(self.store,), name="sweeper", daemon=True).start()

    def stop(self) -> None:
        """Finish what is in hand; what waits is kept for the next start."""
        self.jobs.stop()
        self.answerer.stop()
        self.model.close()
        self.store.close()
