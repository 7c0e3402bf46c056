"""Files that were handed in together: taken in at once, or, for an archive, one after the other in the background."""

from __future__ import annotations

import logging
import secrets
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import select
from sqlalchemy.orm import Session

from overread.disk import try_lock
from overread.errors import OverreadError, ServiceError
from overread.serve.intake import Arrived, Intake, Taken
from overread.serve.tables import Job, now
from overread.serve.trail import record
from overread.serve.unpacking import Unpacker, is_zip
from overread.settings import between, setting

_log = logging.getLogger(__name__)
_TOGETHER = 32
"""files that are taken in by one transaction"""
_PATIENCE_S = 5.0


@dataclass(frozen=True, kw_only=True)
class JobSettings:
    """What one upload may hold. Flags are made of these."""

    max_files: int = setting(5000, "most files of one upload, those in its archives included")
    max_upload_mb: int = setting(4096, "largest upload, in megabytes, before and after unpacking")

    def __post_init__(self) -> None:
        between("max-files", self.max_files, 1, 1_000_000)
        between("max-upload-mb", self.max_upload_mb, 1, 1_000_000)


@dataclass(frozen=True, kw_only=True)
class HandedIn:
    """An upload that has been taken over."""

    job_id: str
    images: tuple[str, ...]
    """UIDs of those that came by themselves"""
    is_new: bool
    """whether none of these was here before"""
    has_archives: bool
    """whether more will come out of archives"""


class Jobs:
    """Takes uploads, and unpacks archives in a thread of its own; one that was stopped goes on where it was."""

    def __init__(
        self, intake: Intake, settings: JobSettings | None = None, *, on_new: Callable[[], None] | None = None
    ) -> None:
        self.intake, self.store = intake, intake.store
        self.settings = settings or JobSettings()
        self._on_new = on_new or (lambda: None)
        self._wake, self._stop = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._work, name="unpacker", daemon=True)

    def start(self) -> None:
        """Begin with what an earlier process has left."""
        self._wake.set()
        self._thread.start()

    def stop(self) -> None:
        """End after the files in hand."""
        self._stop.set()
        self._wake.set()
        self._thread.join(timeout=60)

    def hand_in(self, files: Sequence[Arrived], *, came_by: str, who: str) -> HandedIn:
        """Take files of one upload over.

        Images are in the store when this returns. An archive is kept whole then, and unpacked afterwards. Raises
        ServiceError where the store is full or away.
        """
        archives = [file for file in files if is_zip(file.path)]
        images = [file for file in files if file not in archives]
        job_id, first = secrets.token_hex(16), max(0, len(images) - _TOGETHER)
        uids: list[str] = []
        with self._holding(archives) as held:
            taken = self._take(images[:first], job_id, came_by=came_by, who=who)

            def note(session: Session, last: list[Taken]) -> None:
                uids[:] = _images([*taken, *last])
                job = Job(
                    id=job_id,
                    account=who,
                    came_by=came_by,
                    n_files=len(images),
                    n_read=len(images),
                    instances=uids,
                    problems=_problems([*taken, *last]),
                    held=held,
                    state="reading" if held else "read",
                    made_at=now(),
                )
                session.add(job)
                if job.problems:
                    kinds = [problem["kind"] for problem in job.problems]
                    record(session, who=who, did="refused", subject=f"{len(kinds)} files", by=came_by, kinds=kinds)

            taken += self.intake.take(images[first:], came_by=came_by, who=who, together=study_of(job_id), then=note)
        self._on_new()
        if held:
            self._wake.set()
        is_new = all(one.is_new or one.problem is not None for one in taken)
        return HandedIn(job_id=job_id, images=tuple(uids), is_new=is_new, has_archives=bool(held))

    @contextmanager
    def _holding(self, archives: Sequence[Arrived]) -> Iterator[list[list[str]]]:
        """Hold archives: by which names, and what their sender calls them. None is left where the rest fails."""
        held: list[list[str]] = []
        try:
            for file in archives:
                held.append([self.store.files.hold(file.path), file.name])
            yield held
        except BaseException:
            for name, _ in held:
                self.store.files.path_of(name).unlink(missing_ok=True)
            raise

    def _take(self, files: Sequence[Arrived], job_id: str, *, came_by: str, who: str) -> list[Taken]:
        found: list[Taken] = []
        for start in range(0, len(files), _TOGETHER):
            some = files[start : start + _TOGETHER]
            found += self.intake.take(some, came_by=came_by, who=who, together=study_of(job_id))
        return found

    def _work(self) -> None:
        while not self._stop.is_set():
            self._wake.clear()
            left: Sequence[str] = ("?",)
            try:
                left = [one for one in self._reading() if self._stop.is_set() or not self._unpack_all(one)]
            except OverreadError as fault:
                _log.warning("archives wait: %s", getattr(fault, "kind", "failed"))
            except Exception:
                _log.exception("archives wait after a fault of overread")
            self._wake.wait(_PATIENCE_S if left else None)

    def _reading(self) -> Sequence[str]:
        with self.store.read() as session:
            return session.scalars(select(Job.id).where(Job.state == "reading").order_by(Job.made_at)).all()

    def _unpack_all(self, job_id: str) -> bool:
        """Unpack the archives of one job; False where another process is at one of them."""
        with self.store.read() as session:
            names = [name for name, _ in session.get_one(Job, job_id).held]
        for name in names:
            with _claimed(self.store.files.path_of(name)) as is_ours:
                if not is_ours:
                    return False
                self._unpack_one(job_id, name)
        return True

    def _unpack_one(self, job_id: str, name: str) -> None:
        """Unpack an archive that is this process's alone."""
        with self.store.read() as session:
            job = session.get_one(Job, job_id)
            said, who, came_by, done = dict(job.held).get(name), job.account, job.came_by, job.n_unpacked
        if said is None:  # another process has done it, a moment ago
            return
        path = self.store.files.path_of(name)
        try:
            self._check_there(path, said)
            self._unpack(path, said, job_id, who=who, came_by=came_by, done=done)
        except ServiceError as fault:
            if fault.status >= 500:
                raise
            self._add(job_id, [Taken(name=said, problem=fault)], n_files=1)
        except (OverreadError, OSError):
            raise
        except Exception:  # the archives of others must not wait for ever
            _log.exception("an archive cannot be unpacked after a fault of overread")
            ours = ServiceError(f"{said} cannot be unpacked, which is a fault in overread.", kind="fault")
            self._add(job_id, [Taken(name=said, problem=ours)], n_files=1)
        with self.store.begin() as session:
            job = session.get_one(Job, job_id)
            job.held = [one for one in job.held if one[0] != name]
            job.n_unpacked = 0
            job.state = "reading" if job.held else "read"
        path.unlink(missing_ok=True)

    def _check_there(self, path: Path, name: str) -> None:
        """Refuse an archive that is gone, for which others would wait for ever; not where the whole disk is away."""
        if not path.exists():
            self.store.files.check_there()
            raise ServiceError(f"{name} is no longer there. Send it again.", kind="zip")

    def _unpack(self, path: Path, name: str, job_id: str, *, who: str, came_by: str, done: int) -> None:
        """Take in what an archive holds, but for the first `done` files, which an earlier process took."""
        limits = self.settings
        unpacker = Unpacker(
            path,
            name=name,
            max_files=limits.max_files,
            max_bytes=limits.max_upload_mb * 1_000_000,
            max_file_bytes=self.intake.settings.max_file_mb * 1_000_000,
        )
        try:
            for start in range(done, len(unpacker.members), _TOGETHER):
                if self._stop.is_set():
                    raise ServiceError("The service is stopping.", kind="stopping", status=503)
                taken = self._take_members(unpacker, start, job_id, who=who, came_by=came_by)
                n_files = 0 if start else len(unpacker.members)  # with the first of them, and so once
                self._add(job_id, taken, n_files=n_files, n_unpacked=start + len(taken))
                self._on_new()
        finally:
            unpacker.close()

    def _take_members(self, unpacker: Unpacker, start: int, job_id: str, *, who: str, came_by: str) -> list[Taken]:
        refused: list[Taken] = []
        with ExitStack() as stack:
            arrived = []
            for name, member in list(unpacker.names())[start : start + _TOGETHER]:
                path = stack.enter_context(self.store.files.receiving())
                try:
                    unpacker.unpack(member, path)
                    arrived.append(Arrived(path=path, name=name))
                except ServiceError as fault:
                    if fault.kind == "bomb":
                        raise
                    refused.append(Taken(name=name, problem=fault))
            return self._take(arrived, job_id, came_by=came_by, who=who) + refused

    def _add(self, job_id: str, taken: Sequence[Taken], *, n_files: int = 0, n_unpacked: int | None = None) -> None:
        with self.store.begin() as session:
            job = session.get_one(Job, job_id)
            job.n_files += n_files
            job.n_read += len(taken)
            job.instances = list(dict.fromkeys([*job.instances, *_images(taken)]))
            job.problems = [*job.problems, *_problems(taken)]
            if n_unpacked is not None:
                job.n_unpacked = n_unpacked


@contextmanager
def _claimed(path: Path) -> Iterator[bool]:
    """Hold an archive against other processes, until it is unpacked or this process is gone."""
    try:
        file = path.open("rb")
    except FileNotFoundError:  # it has been unpacked and removed
        yield True
        return
    with file:
        yield try_lock(file.fileno())


def study_of(job_id: str) -> str:
    """The UID of the study that the pictures of one upload make, which have none of their own (PS3.5 B.2)."""
    return f"2.25.{int(job_id, 16)}"


def _images(taken: Sequence[Taken]) -> list[str]:
    return list(dict.fromkeys(one.instance for one in taken if one.problem is None))


def _problems(taken: Sequence[Taken]) -> list[dict[str, str]]:
    return [
        {"name": one.name, "kind": one.problem.kind, "message": str(one.problem)}
        for one in taken
        if one.problem is not None
    ]
