"""The course of a training: its phases in their order, each begun where the best epoch before it stands."""

from __future__ import annotations

import dataclasses
import time
from pathlib import Path

import numpy as np
import torch
from torch import nn

from overread.model import bundle
from overread.model.stages import heads, stages_of
from overread.settings import TrainSettings
from overread.stats import metrics
from overread.training.batches import Normaliser, Part
from overread.training.features import features_of
from overread.training.feeder import Feeder
from overread.training.head import solve_head
from overread.training.history import History
from overread.training.loop import Measure, Progress, Trainer, load_resume
from overread.training.machine import Machine, choose_machine
from overread.training.memory import keep_freed_memory
from overread.training.optimizer import class_weights, freeze_stages
from overread.training.phases import GLANCE_IMAGES, LEAST_GAIN, Phase, gains, glance, plan
from overread.training.sources import Pixels, run_over
from overread.training.watch import Watcher
from overread.training.world import ALONE, World


def train_network(
    network: nn.Module,
    *,
    train: Part,
    val: Part,
    n_classes: int,
    settings: TrainSettings,
    normalise: Normaliser,
    folder: Path,
    watch: Watcher,
    go_on: bool = True,
    world: World = ALONE,
) -> History:
    """Train a network through all phases of its settings; the best epoch's weights are in the folder.

    An earlier run of the same folder is taken up where it stood; `go_on` False trains no further. Each worker of
    `world` calls this with the same arguments, but for the network's weights: the first one's count. It alone writes.
    """
    folder.mkdir(parents=True, exist_ok=True)
    machine = dataclasses.replace(choose_machine(settings), world=world)
    if machine.device.type == "cpu":
        keep_freed_memory()
    network.to(machine.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    progress = world.agree(load_resume(folder, network) if world.is_first else Progress())
    world.share_weights(network)
    if go_on:
        changed = settings.augment != "none"
        learnt = Pixels(part=train, normalise=normalise, device=machine.device, augment=changed, flip=settings.flip)
        held = Pixels(part=val, normalise=normalise, device=machine.device)
        feeder = Feeder(network, learnt, held, machine=machine, folder=folder, seed=settings.seed, watch=watch)
        phases = plan(settings, machine, len(stages_of(network)))
        _Course(
            network, phases, feeder, progress, n_classes=n_classes, machine=machine, folder=folder, watch=watch
        ).run()
    return progress.history


class _Course:
    """The phases of one training, and where it stands."""

    def __init__(
        self,
        network: nn.Module,
        phases: tuple[Phase, ...],
        feeder: Feeder,
        progress: Progress,
        *,
        n_classes: int,
        machine: Machine,
        folder: Path,
        watch: Watcher,
    ) -> None:
        self.network, self.phases, self.feeder, self.progress = network, phases, feeder, progress
        self.stages = stages_of(network)
        self.n_classes, self.machine, self.folder, self.watch = n_classes, machine, folder, watch

    def run(self) -> None:
        """Go through the phases that are left, as long as they gain, or promise to."""
        for number, phase in enumerate(self.phases):
            if any(self._began(later) for later in self.phases[number + 1 :]):
                continue
            if not self._began(phase):
                self._start_from_the_best()
                if len(self.phases) > 1:
                    self.watch.say(self._title(phase))
            if phase.solved:
                self._solve(phase, followed=self.phases[number + 1 : number + 2])
            else:
                self._trainer(phase, views=phase.settings.views, room=phase.settings.views).fit()
            if phase.solved and number + 1 < len(self.phases) and self._is_solved():
                self.watch.say("There is nothing left to gain in validation: what lies below stays as it was.")
                return
            if phase.trial and not self._gained() and not self._promises(self.phases[number + 1 :]):
                self.watch.say(
                    "The last stage gained nothing in validation, nor does anything deeper promise to: "
                    "what lies below stays as it was."
                )
                return

    def _title(self, phase: Phase) -> str:
        if phase.solved:
            return "First the last layer alone, on what the pretrained network makes of the images"
        learning = len(self.stages) - phase.first
        return f"Then the last {learning} of {len(self.stages)} stages, from {self.stages[phase.first][0]} on"

    def _began(self, phase: Phase) -> bool:
        return any(row.stages_learning == len(self.stages) - phase.first for row in self.progress.history)

    def _start_from_the_best(self) -> None:
        """A phase begins with the best weights so far, and is measured against them."""
        if not len(self.progress.history):
            return
        self._take_the_best()
        self.progress.losses_before, self.progress.optimizer = self.progress.losses, {}

    def _take_the_best(self) -> None:
        """Give the network the best weights so far."""
        if self.machine.world.is_first:
            best = {name: torch.from_numpy(array) for name, array in bundle.load_weights(self.folder).items()}
            self.network.load_state_dict(best)
        self.machine.world.share_weights(self.network)

    def _is_solved(self) -> bool:
        losses = self.progress.losses
        return self.machine.world.agree(losses is not None and bool(losses.mean() < LEAST_GAIN))

    def _gained(self) -> bool:
        before, now = self.progress.losses_before, self.progress.losses
        return self.machine.world.agree(before is None or now is None or gains(before, now))

    def _promises(self, following: tuple[Phase, ...]) -> bool:
        """Whether a glance at the next phase gains, where a trial of fewer stages did not: theirs may be the fault.

        Nothing of it is kept, so that a run that is killed here takes it again, with the same result.
        """
        if not following:
            return False
        self._take_the_best()
        phase = glance(following[0])
        trainer = self._trainer(phase, views=phase.settings.views, room=following[0].settings.views)
        trainer.run_epoch(0, before=len(self.progress.history), at_most=GLANCE_IMAGES)
        fed, before = trainer.fed, self.progress.losses
        logits = run_over(fed.network, fed.val, machine=self.machine, watch=self.watch, what="a glance at all stages")
        self._take_the_best()
        now = metrics.log_losses(fed.val.labels, metrics.softmax(logits))
        return self.machine.world.agree(before is None or gains(before, now))

    def _trainer(self, phase: Phase, *, views: int, room: int, first: int | None = None) -> Trainer:
        first = phase.first if first is None else first
        freeze_stages(self.stages, first)
        return Trainer(
            self.network,
            fed=self.feeder.feed(first, n_views=views, at_most=room),
            phase=phase,
            n_classes=self.n_classes,
            machine=self.machine,
            folder=self.folder,
            progress=self.progress,
            watch=self.watch,
        )

    def _solve(self, phase: Phase, *, followed: tuple[Phase, ...]) -> None:
        """Solve the last layer, on what the next phase will be fed with: these stages are run once for both."""
        if self._began(phase):
            return
        began = time.perf_counter()
        base = followed[0] if followed else phase
        trainer = self._trainer(phase, views=1, room=base.settings.views if followed else 1, first=base.first)
        head = heads(self.network)[0]
        learnt, held = (
            features_of(trainer.fed.network, head, source, machine=self.machine, watch=self.watch, what="features")
            for source in (trainer.fed.train, trainer.fed.val)
        )
        train, val = trainer.fed.train.labels, trainer.fed.val.labels
        weights = class_weights(train, self.n_classes) if phase.settings.class_weights else None
        solved = solve_head(learnt, train, held, val, n_classes=self.n_classes, class_weight=weights)
        with torch.no_grad():
            head.weight.copy_(solved.weight)  # type: ignore[operator]
            if head.bias is not None:
                head.bias.copy_(solved.bias)  # type: ignore[operator]
        self.machine.world.share_weights(head)
        logits = [x @ solved.weight.numpy().T + solved.bias.numpy() for x in (learnt, held)]
        probabilities = metrics.softmax(logits[0])
        right = float((probabilities.argmax(axis=1) == train).mean())
        trainer.end_epoch(
            Measure(metrics.log_loss(train, probabilities), right),
            logits[1],
            learning_rate=np.nan,
            seconds=time.perf_counter() - began,
        )
