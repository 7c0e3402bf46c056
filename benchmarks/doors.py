"""The doors of `overread serve` and `overread node`, from the side of who knocks, and a PACS behind them."""

from __future__ import annotations

import collections
import io
import json
import os
import re
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import httpx
from pydicom.uid import UID
from pynetdicom import AE, StoragePresentationContexts, evt
from pynetdicom.dimse_primitives import C_STORE

from processes import memory_mb

sys.path.insert(0, str(Path(__file__).parents[1]))
from tests.serve.hostile import OUTSIDE, PAYLOAD, good_files, hostile

from overread.serve.contexts import transfer_syntaxes

__all__ = ["OUTSIDE", "Dimse", "Http", "Program", "Sink", "good_files", "hostile"]
CT = "1.2.840.10008.5.1.4.1.1.2"
EXPECTED = {0x0000, 0xA900, 0xC000, 0xC001}
KEPT = re.compile(r"[0-9a-f]{64}|[0-9a-f]{16}(\.lock)?")


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


class Program:
    """`overread serve` or `overread node`, in a folder of its own: temporary files, home and all."""

    def __init__(self, verb: str, model: Path, folder: Path, *more: str) -> None:
        self.folder, self.port = folder, free_port()
        self.memory: list[float] = []
        for name in ("tmp", "home"):
            (folder / name).mkdir(parents=True)
        where = {"TMPDIR": str(folder / "tmp"), "HOME": str(folder / "home")}
        words = [
            sys.executable,
            "-m",
            "overread",
            verb,
            str(model),
            "--store",
            "store",
            "--port",
            str(self.port),
            *more,
        ]
        self.log = (folder / "log").open("wb")
        self.process = subprocess.Popen(
            words, cwd=folder, stderr=self.log, stdout=self.log, env={**os.environ, **where}
        )

    def measure(self, what: str = "VmRSS") -> float:
        """Memory in MB, of all its processes together."""
        return memory_mb(self.process.pid, what)

    def memory_said(self) -> str:
        """Memory in words."""
        peak, end = self.measure("VmHWM"), self.measure()
        return f"{self.memory[0]:.0f} MB at the start, {peak:.0f} at the peak, {end:.0f} at the end"

    def stop(self) -> None:
        """End it as an operator does."""
        self.process.terminate()
        self.process.wait(60)

    def faults(self) -> list[str]:
        """What its log tells of, and what lies where it should not."""
        lines = (self.folder / "log").read_text(errors="replace").splitlines()
        signs = ("Traceback", '"level": "error"', "could not be kept", "fault of overread")
        told = [line[:300] for line in lines if any(sign in line for sign in signs)]
        for path in self.folder.rglob("*"):
            parts = path.relative_to(self.folder).parts
            inside = parts[0] in ("store", "log") or parts in (("tmp",), ("home",))
            named = path.is_dir() or "files" not in parts or KEPT.fullmatch(path.name)
            if not inside or not named or OUTSIDE in path.name:
                told.append(f"a file that should not be: {path}")
        return told


class Http:
    """The door of HTTP."""

    def __init__(self, program: Program) -> None:
        self.client = httpx.Client(base_url=f"http://127.0.0.1:{program.port}", timeout=300, trust_env=False)
        self.statuses: collections.Counter[str] = collections.Counter()
        self.faults: list[str] = []
        until = time.monotonic() + 60
        while time.monotonic() < until:
            try:
                self.client.get("/healthz")
                return
            except httpx.HTTPError:
                time.sleep(0.1)

    def ask(self, method: str, path: str, **more: Any) -> httpx.Response:
        """Ask, and count the status."""
        response = self.client.request(method, path, **more)
        self.statuses[f"{method} {path.split('?')[0].split('/')[1]} {response.status_code}"] += 1
        if response.status_code >= 500:
            self.faults.append(f"{method} {path}: {response.status_code} {response.text[:200]}")
        return response

    def probabilities(self, content: bytes) -> list[float]:
        """What the service says of one image."""
        job = self.ask("POST", "/api/v1/images?wait=120", files={"files": ("good.dcm", content)}).json()
        return list(job["images"][0]["frames"][0]["probabilities"].values())

    def send(self, some: Sequence[tuple[str, str, bytes]], *, stow: bool) -> None:
        """Hand in some files at once."""
        if not stow:
            self.ask(
                "POST", "/api/v1/images", files=[("files", (f"{PAYLOAD}.dcm", content)) for _, _, content in some]
            )
            return
        mark = "overread-hostile-boundary"
        body = b"".join(
            f"--{mark}\r\nContent-Type: application/dicom\r\n\r\n".encode() + one[2] + b"\r\n" for one in some
        )
        kind = f'multipart/related; type="application/dicom"; boundary={mark}'
        self.ask(
            "POST", "/dicom-web/studies", content=body + f"--{mark}--\r\n".encode(), headers={"Content-Type": kind}
        )

    def settle(self) -> None:
        """Wait until nothing waits for its answer."""
        until = time.monotonic() + 300
        while self.ask("GET", "/api/v1/studies?state=waiting&limit=1").json()["total"]:
            if time.monotonic() > until:
                self.faults.append("images still wait after 300 s")
                return
            time.sleep(0.2)

    def look(self, most: int) -> None:
        """Every page and every route of what is there: JSON that parses strictly, HTML that is escaped."""
        total = self.ask("GET", "/api/v1/studies?limit=1").json()["total"]
        for page in range(1, total // 50 + 2):
            self._html(f"/?page={page}")
        for path in ("/dicom-web/studies", "/dicom-web/series", "/dicom-web/instances"):
            for offset in range(0, total * 12, 1000):
                if not self._json(f"{path}?limit=1000&offset={offset}"):
                    break
        for offset in range(0, min(total, most), 500):
            for row in self._json(f"/api/v1/studies?limit=500&offset={offset}")["studies"]:
                self._study(row["uid"])

    def _study(self, uid: str) -> None:
        self._html(f"/studies/{uid}")
        found = self._json(f"/api/v1/studies/{uid}")
        for series in found["series"]:
            for image in series["images"][:40]:
                place = f"/dicom-web/studies/{uid}/series/{series['uid']}/instances/{image['uid']}"
                self._json(f"{place}/metadata")
                self.ask("GET", f"{place}/rendered")
                self.ask("GET", f"{place}/frames/1")
                self.ask("GET", f"{place}/thumbnail")
                self.ask("GET", f"/api/v1/images/{image['uid']}/frames/0/pixels")
                self._json(f"/api/v1/images/{image['uid']}/frames/0/heat")

    def _json(self, path: str) -> Any:
        response = self.ask("GET", path)
        if response.status_code == 204:
            return []
        try:
            return json.loads(response.content, parse_constant=_no_json)
        except ValueError as fault:
            self.faults.append(f"GET {path}: no JSON: {fault}")
            return []

    def _html(self, path: str) -> None:
        text = self.ask("GET", path).text
        if "<img" in text or "<script>" in text or "onerror=overread()>" in text:
            self.faults.append(f"GET {path}: markup of a file stands in the page")
        for data in re.findall(r'(?s)<script type="application/json" id="data">(.*?)</script>', text):
            try:
                json.loads(data, parse_constant=_no_json)
            except ValueError as fault:
                self.faults.append(f"GET {path}: the viewer's data are no JSON: {fault}")


def _no_json(name: str) -> None:
    raise ValueError(f"{name} is no JSON")


class Dimse:
    """The door of C-STORE."""

    def __init__(self, program: Program) -> None:
        self.program = program
        self.statuses: collections.Counter[str] = collections.Counter()
        self.faults: list[str] = []
        self._association: Any = None

    def associate(self) -> Any:
        """A new association."""
        ae = AE(ae_title="HOSTILE")
        ae.acse_timeout = ae.dimse_timeout = ae.network_timeout = 120
        for syntax in transfer_syntaxes():
            ae.add_requested_context(CT, syntax)
        until = time.monotonic() + 60
        while time.monotonic() < until:
            found = ae.associate("127.0.0.1", self.program.port, ae_title="OVERREAD")
            if found.is_established:
                return found
            time.sleep(0.2)
        raise SystemExit("the node takes no association any more")

    def send(self, what: str, uid: str, content: bytes) -> int:
        """Send what stands behind the file meta information, however it is; returns the status."""
        if self._association is None or not self._association.is_established:
            self._association = self.associate()
        association = self._association
        contexts = {one.transfer_syntax[0]: one.context_id for one in association.accepted_contexts}
        found = re.search(rb"(?s)\x02\x00\x10\x00UI..([0-9.]+)", content[:600])
        said = UID(found.group(1).decode()) if found else UID("1.2.840.10008.1.2.1")
        request = C_STORE()
        request.MessageID, request.Priority = 1, 2
        request.AffectedSOPClassUID, request.AffectedSOPInstanceUID = CT, uid
        request.DataSet = io.BytesIO(content[_data_set_at(content) :] or b"\0\0")
        association._reactor_checkpoint.clear()
        while association.is_established and not association._is_paused:  # else it takes the answer for a request
            time.sleep(0.001)
        association.dimse.send_msg(request, contexts.get(said, contexts["1.2.840.10008.1.2.1"]))
        _, answer = association.dimse.get_msg(block=True)
        association._reactor_checkpoint.set()
        if answer is None or answer.Status is None:
            self.statuses["no answer"] += 1
            self.faults.append(f"{what} {uid}: no answer")
            return -1
        self.statuses[f"0x{answer.Status:04X}"] += 1
        if answer.Status not in EXPECTED:
            self.faults.append(f"{what} {uid}: 0x{answer.Status:04X} {getattr(answer, 'ErrorComment', '')}")
        return int(answer.Status)

    def close(self) -> None:
        """Release the association."""
        if self._association is not None:
            self._association.release()


def _data_set_at(content: bytes) -> int:
    """Where the data set begins, behind a group 0002 whose length is told; at the start where it is not."""
    if content[128:132] == b"DICM" and content[132:138] == b"\x02\x00\x00\x00UL":
        return min(len(content), 144 + int.from_bytes(content[140:144], "little"))
    return 0


class Sink:
    """A PACS that takes what the node makes, and counts it by study."""

    def __init__(self) -> None:
        self.studies: collections.Counter[str] = collections.Counter()
        ae = AE(ae_title="SINK")
        ae.supported_contexts = StoragePresentationContexts
        self.server: Any = ae.start_server(
            ("127.0.0.1", 0), block=False, evt_handlers=[(evt.EVT_C_STORE, self._take)]
        )
        self.port = int(self.server.socket.getsockname()[1])

    def _take(self, event: Any) -> int:
        self.studies[str(event.dataset.StudyInstanceUID)] += 1
        return 0
