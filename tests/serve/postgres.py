"""A real PostgreSQL on a socket of its own, started by hand."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

PROGRAMS = sorted(Path("/usr/lib/postgresql").glob("*/bin"))


class Postgres:
    """Started when it is made; it can be stopped, and started again with all that it holds."""

    def __init__(self) -> None:
        # not in pytest's own folder: only its owner may enter that, and PostgreSQL runs as another
        self.programs, self.folder = PROGRAMS[-1], Path(tempfile.mkdtemp(prefix="overread-pg-"))
        self.as_user: list[str] = []
        if os.geteuid() == 0:  # PostgreSQL refuses to be run by root
            self.as_user = ["runuser", "-u", "postgres", "--"]
            shutil.chown(self.folder, "postgres")
        self.data, self.n = str(self.folder / "data"), 0
        self._say("initdb", "-D", self.data, "-A", "trust", "-U", "overread", "--no-sync")
        self.start()

    def _say(self, program: str, *words: str) -> None:
        said = [*self.as_user, str(self.programs / program), *words]
        subprocess.run(said, check=True, capture_output=True, cwd=self.folder)

    def start(self) -> None:
        options = f"-c listen_addresses='' -c unix_socket_directories='{self.folder}' -c fsync=off"
        self._say("pg_ctl", "-D", self.data, "-o", options, "-l", str(self.folder / "log"), "-w", "start")

    def stop(self) -> None:
        """Break off whatever it is doing, as a machine does that loses its power."""
        self._say("pg_ctl", "-D", self.data, "-m", "immediate", "-w", "stop")

    def make(self, *words: str) -> str:
        """The address of a new database; words: of createdb."""
        self.n += 1
        self._say("createdb", "-h", str(self.folder), "-U", "overread", *words, f"store{self.n}")
        return f"postgresql://overread@/store{self.n}?host={self.folder}"

    def remove(self) -> None:
        self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)
