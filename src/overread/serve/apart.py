"""The network in a process of its own: it waits for no receiver's Python, and what kills it kills nobody else."""

from __future__ import annotations

import atexit
import itertools
import multiprocessing
import signal
import threading
import traceback
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from multiprocessing.connection import Connection
from pathlib import Path
from queue import SimpleQueue

from overread.errors import ModelError, OverreadError, ServiceError
from overread.model import bundle
from overread.model.session import ENGINES, n_cores
from overread.predict import CHUNK, MOST_RUNS, Prediction, Predictor

Piece = list[Prediction] | BaseException | None
"""some answers; what went wrong; or None behind the last"""


class DiedError(Exception):
    """The process that predicts has died while it was asked: of a file, or for want of memory."""


class PredictorApart:
    """Predicts files as `Predictor` does, in another process, which is started anew where it has died.

    Raises ModelError and SettingsError as `Predictor` does, ServiceError where the process cannot be started.
    """

    def __init__(self, folder: str | Path, *, engine: str = ENGINES[0], cores: int = 0) -> None:
        self.folder = Path(folder)
        self._opening = (str(folder), engine, cores)
        self._lock = threading.Lock()
        self._child = _Child(*self._opening)
        self._sha256 = self._child.sha256
        self.card = bundle.load_card(self.folder, verify=())
        self.n_runs = min(cores or n_cores(), MOST_RUNS)
        """passes at once"""
        atexit.register(self.close)  # before multiprocessing's own, which would wait for it

    def predict_files(self, paths: Iterable[str | Path], *, maps: bool = False) -> Iterator[Prediction]:
        """Predict every frame of every file, in order. Raises DiedError where the process died meanwhile."""
        with self._lock:
            if self._child.is_dead:
                self._start_anew()
            answers = self._child.ask([str(path) for path in paths], maps=maps)
        while (piece := answers.get()) is not None:
            if isinstance(piece, BaseException):
                raise piece
            yield from piece

    def _start_anew(self) -> None:
        child = _Child(*self._opening)
        if child.sha256 != self._sha256:
            child.close()
            raise ModelError(f"{self.folder} holds another model than at the start. Start the service again.")
        self._child = child

    def close(self) -> None:
        """Let the process end."""
        atexit.unregister(self.close)
        self._child.close()


class _Child:
    """One process, and those who wait for its answers."""

    def __init__(self, folder: str, engine: str, cores: int) -> None:
        context = multiprocessing.get_context("spawn")
        self._connection, theirs = context.Pipe()
        self._process = context.Process(target=_work, args=(theirs, folder, engine, cores), daemon=True)
        self._process.start()
        theirs.close()
        self.is_dead = False
        self._lock, self._numbers = threading.Lock(), itertools.count()
        self._waiting: dict[int, SimpleQueue[Piece]] = {}
        try:
            opened: str | OverreadError = self._connection.recv()
        except (EOFError, OSError) as fault:
            raise ServiceError(
                "The process that predicts ended as it began; the memory may be full. Close other programs.",
                kind="no-predictor",
                status=503,
            ) from fault
        if isinstance(opened, OverreadError):
            raise opened
        self.sha256 = opened
        """of the card of the model that it has opened"""
        threading.Thread(target=self._listen, name="predictor", daemon=True).start()

    def ask(self, paths: Sequence[str], *, maps: bool) -> SimpleQueue[Piece]:
        """Ask for files; their answers come piece by piece."""
        answers: SimpleQueue[Piece] = SimpleQueue()
        with self._lock:
            number = next(self._numbers)
            self._waiting[number] = answers
            with suppress(OSError):  # it has died, and `_listen` will tell
                self._connection.send((number, paths, maps))
            if self.is_dead:
                answers.put(DiedError("The process that predicts has died."))
        return answers

    def close(self) -> None:
        """Let it finish what it has, and end."""
        with self._lock, suppress(OSError):
            self._connection.send(None)
        self._process.join(timeout=10)
        if self._process.is_alive():
            self._process.kill()

    def _listen(self) -> None:
        with suppress(EOFError, OSError):
            while True:
                number, piece = self._connection.recv()
                with self._lock:
                    answers = self._waiting[number] if isinstance(piece, list) else self._waiting.pop(number)
                answers.put(piece)
        with self._lock:
            self.is_dead = True
            self._connection.close()
            left, self._waiting = self._waiting, {}
        for answers in left.values():
            answers.put(DiedError("The process that predicts has died."))


def _work(connection: Connection, folder: str, engine: str, cores: int) -> None:
    """Answer until nobody asks any more, which is also so where the other process has died."""
    for number in (signal.SIGINT, signal.SIGTERM):  # are for the one that asks, which will hang up
        signal.signal(number, signal.SIG_IGN)
    try:
        predictor = Predictor(folder, engine=engine, cores=cores)
        sha256 = bundle.hash_file(Path(folder) / bundle.CARD)
    except OverreadError as fault:
        with suppress(OSError):
            connection.send(fault)
        return
    sending = threading.Lock()

    def send(number: int, piece: Piece) -> None:
        with sending:
            connection.send((number, piece))

    def answer(number: int, paths: Sequence[str], maps: bool) -> None:
        try:
            found = predictor.predict_files(paths, maps=maps)
            while piece := list(itertools.islice(found, CHUNK)):
                send(number, piece)
            end: Piece = None
        except Exception:
            end = RuntimeError(f"The process that predicts says:\n{traceback.format_exc()}")
        send(number, end)

    pool = ThreadPoolExecutor(predictor.n_runs + 1)
    with suppress(EOFError, OSError):
        connection.send(sha256)
        while (asked := connection.recv()) is not None:
            pool.submit(answer, *asked)
    pool.shutdown(cancel_futures=True)
