"""A real Orthanc on loopback, started by hand."""

from __future__ import annotations

import json
import socket
import subprocess
import time
from collections import Counter
from pathlib import Path
from typing import Any

import httpx
from tests.serve.slow_road import SlowRoad

PROGRAM = Path("/usr/sbin/Orthanc")
_PLUGIN = Path("/usr/share/orthanc/plugins/libOrthancDicomWeb.so")
_COUNT = """
function ReceivedInstanceFilter(dicom, origin, info)
  local file = io.open('%s', 'a')
  file:write(dicom['SOPInstanceUID'] .. '\\n')
  file:close()
  return true
end
"""
_PUSH = """
function OnStoredInstance(instanceId, tags, metadata, origin)
  if tags['Modality'] == 'CT' then SendToModality(instanceId, 'overread') end
end
"""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Orthanc:
    """A PACS that knows one node, and pushes every CT to it where `pushes` is set.

    word: the password of its one user, `node`; empty where everybody may ask.
    """

    def __init__(
        self, folder: Path, *, node_port: int, node_aet: str = "OVERREAD", pushes: bool = False, word: str = ""
    ) -> None:
        self.folder, self.dicom_port, self.http_port = folder, free_port(), free_port()
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "push.lua").write_text(_PUSH)
        (folder / "count.lua").write_text(_COUNT % (folder / "received"))
        settings: dict[str, Any] = {
            "Name": "PACS",
            "StorageDirectory": str(folder / "kept"),
            "IndexDirectory": str(folder / "kept"),
            "HttpPort": self.http_port,
            "DicomPort": self.dicom_port,
            "DicomAet": "PACS",
            "DicomModalities": {"overread": [node_aet, "127.0.0.1", node_port]},
            "Plugins": [str(_PLUGIN)],
            "DicomWeb": {"Enable": True, "Root": "/dicom-web/"},
            "AuthenticationEnabled": bool(word),
            "RegisteredUsers": {"node": word} if word else {},
            "LuaScripts": [str(folder / "count.lua"), *([str(folder / "push.lua")] if pushes else [])],
            "OverwriteInstances": True,
        }
        (folder / "orthanc.json").write_text(json.dumps(settings))
        self.client = httpx.Client(
            base_url=f"http://127.0.0.1:{self.http_port}",
            timeout=30,
            trust_env=False,
            auth=("node", word) if word else None,
        )
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def by_dimse(self) -> str:
        return f"PACS@127.0.0.1:{self.dicom_port}"

    @property
    def by_web(self) -> str:
        return f"http://127.0.0.1:{self.http_port}/dicom-web"

    def by_slow_road(self, way: str) -> tuple[str, SlowRoad]:
        """Its address `by_web` or `by_dimse` over a slow road, and that road."""
        port = self.http_port if way == "by_web" else self.dicom_port
        road = SlowRoad(port)
        return str(getattr(self, way)).replace(f":{port}", f":{road.port}"), road

    def start(self) -> None:
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen([PROGRAM, self.folder / "orthanc.json"], stdout=log, stderr=log)
        until = time.monotonic() + 60
        while time.monotonic() < until:
            try:
                self.client.get("/system").raise_for_status()
                return
            except httpx.HTTPError:
                time.sleep(0.1)
        raise RuntimeError((self.folder / "log").read_text()[-2000:])

    def stop(self) -> None:
        if self.process is not None:
            self.process.terminate()
            self.process.wait(timeout=60)
            self.process = None
        self.client.close()

    def find(self, **wanted: str) -> list[dict[str, Any]]:
        """QIDO-RS for instances: the values of each, by tag."""
        response = self.client.get("/dicom-web/instances", params={**wanted, "includefield": "0008103E"})
        found: list[dict[str, Any]] = response.raise_for_status().json() if response.content else []
        return found

    def received(self) -> Counter[str]:
        """How often each instance came, by its UID: Orthanc's own list of changes is silent on what it overwrites."""
        return Counter((self.folder / "received").read_text().split())

    def file(self, uid: str) -> bytes:
        """An object as a file."""
        (found,) = self.client.post("/tools/lookup", content=uid).json()
        return self.client.get(f"{found['Path']}/file").content
