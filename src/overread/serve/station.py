"""A DICOM node with a model behind it: images come in, are answered, and results go out."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path

from overread.errors import OverreadError, SettingsError
from overread.serve.answering import Answerer
from overread.serve.intake import Arrived, Intake
from overread.serve.limits import IntakeSettings
from overread.serve.model import ServedModel
from overread.serve.node import Callers, Node, NodeSettings
from overread.serve.notices import Notices
from overread.serve.outbox import Outbox
from overread.serve.peers import Destination, TlsFiles, has, known_destinations, parse_destination, send
from overread.serve.reporting import Reporter
from overread.serve.statuses import Sent
from overread.serve.store import Store
from overread.serve.sweeping import sweep_quietly

_log = logging.getLogger(__name__)
_LOOK_S = 0.5
_PATIENCE_S = 5.0


class Station:
    """The node, who answers, who reports and who sends. `start` it, and `stop` it."""

    def __init__(
        self,
        store: Store,
        model: ServedModel,
        settings: NodeSettings,
        *,
        destinations: Sequence[str] = (),
        authorizations: Mapping[str, str] | None = None,
        intake: IntakeSettings | None = None,
        callers: Callers | None = None,
        tls: TlsFiles | None = None,
    ) -> None:
        self.store, self.settings, self.tls = store, settings, tls
        self._known = known_destinations(destinations, authorizations or {})
        self._intake = Intake(store, intake)
        self.answerer = Answerer(store, model)
        notices = Notices()
        self.reporter = Reporter(
            store=store, model=model, destinations=tuple(destinations), quiet_s=settings.quiet_s, notices=notices
        )
        self.outbox = Outbox(store=store, send=self._send, has=self._has)
        self.node = Node(
            settings,
            self.take,
            incoming=store.files.incoming,
            callers=callers,
            tls=tls,
            announced=notices.add,
            max_bytes=self._intake.settings.max_file_mb * 1_000_000,
        )
        self._stop = threading.Event()
        # a thread for each: results are sent while others are made, and a slow destination holds up no other
        senders = [partial(self.outbox.send_due, to=text) for text in self._known]
        senders.append(partial(self.outbox.send_due, but=tuple(self._known)))  # what an earlier run has left
        self._threads = [
            threading.Thread(target=self._work, args=(work,), daemon=True)
            for work in (self.reporter.report_due, *senders)
        ]

    def start(self) -> int:
        """Go on with what waits, and listen; returns the port. Raises SettingsError where it cannot."""
        if self.tls is not None:
            self.tls.context(server=False)  # now, and not at the first result
        self.outbox.release()
        port = self.node.start()
        self.answerer.start()
        for thread in self._threads:
            thread.start()
        threading.Thread(target=sweep_quietly, args=(self.store,), name="sweeper", daemon=True).start()
        return port

    def stop(self) -> None:
        """Take nothing more, finish what is in hand, and end; what waits is kept."""
        self.node.stop()
        self._stop.set()
        self.answerer.stop()
        self.answerer.model.close()
        for thread in self._threads:
            thread.join(timeout=120)
        self.store.close()

    def take(self, path: Path, calling: str) -> None:
        """Keep one image. Raises ImageError or ServiceError where it cannot be kept.

        A result of overread's that a PACS sends back with its study is thanked for, and left out: a refusal would be
        tried again for ever.
        """
        (taken,) = self._intake.take([Arrived(path=path, name="")], came_by="c-store", who=calling)
        if taken.is_own_result:
            return
        if taken.problem is not None:
            raise taken.problem
        self.answerer.wake()

    def _work(self, work: Callable[[Callable[[], bool]], int]) -> None:
        """Do what is due, again and again, until the node is stopped."""
        while not self._stop.is_set():
            pause = _LOOK_S
            try:
                work(self._stop.is_set)
            except OverreadError as fault:
                _log.warning("results wait: %s", getattr(fault, "kind", "failed"))
                pause = _PATIENCE_S
            except Exception:
                _log.exception("results wait after a fault of overread")
                pause = _PATIENCE_S
            self._stop.wait(pause)

    def _send(self, path: Path, to: str) -> Sent:
        destination = self._destination(to)
        if destination is None:
            return Sent(outcome="again", said="it is no destination", away=True)
        return send(path, destination, own_aet=self.settings.aet, tls=self.tls)

    def _has(self, path: Path, to: str) -> bool:
        destination = self._destination(to)
        return destination is not None and has(path, destination, own_aet=self.settings.aet, tls=self.tls)

    def _destination(self, text: str) -> Destination | None:
        """Where results go; None where an earlier version took in their line what is no destination."""
        try:
            return self._known.get(text) or parse_destination(text)
        except SettingsError:
            return None
