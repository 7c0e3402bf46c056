"""A small model, images that it knows nothing of, and stores on both databases."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as Picture
from tests.serve.postgres import PROGRAMS, Postgres

from overread.data.phantom import PhantomSettings, make_phantoms
from overread.model import bundle
from overread.model.backbones import create
from overread.model.bundle import Card
from overread.model.export import export_onnx
from overread.serve.intake import Arrived
from overread.serve.model import ServedModel
from overread.serve.peers import TlsFiles
from overread.serve.service import Service
from overread.serve.store import Store, open_store
from overread.settings import ImageSettings

CLASSES = ("aneurysm", "cancer", "tumor")


@pytest.fixture(scope="session")
def model_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("served") / "small-model"
    folder.mkdir()
    export_onnx(create("test_resnet", len(CLASSES), seed=0), folder / bundle.NETWORK, size_px=64)
    card = Card(
        backbone="test_resnet",
        classes=CLASSES,
        image=ImageSettings(size_px=64, window="header"),
        mean=(0.5, 0.5, 0.5),
        std=(0.25, 0.25, 0.25),
        weights_source="none",
        marks=("Trained on nothing.",),
    )
    bundle.seal(folder, card)
    return folder


@pytest.fixture
def needs_units(model_folder: Path, tmp_path: Path) -> Path:
    """The same model, but one that needs Hounsfield units."""
    own = tmp_path / "needs-units"
    shutil.copytree(model_folder, own)
    card = bundle.load_card(own)
    bundle.seal(own, replace(card, image=replace(card.image, window="brain")))
    return own


@pytest.fixture(scope="session")
def slices(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """DICOM slices of three phantom patients, four of each."""
    folder = tmp_path_factory.mktemp("phantoms") / "made"
    make_phantoms(folder, PhantomSettings(patients=3, slices=4, size_px=64, seed=3))
    return sorted(folder.rglob("*.dcm"))


@pytest.fixture
def pictures(tmp_path: Path) -> list[Path]:
    rng = np.random.default_rng(0)
    found = [tmp_path / f"{number}.png" for number in range(3)]
    for path in found:
        Picture.fromarray(rng.integers(0, 255, (40, 40), np.uint8)).save(path)
    return found


@pytest.fixture(scope="session")
def postgres() -> Iterator[Callable[..., str]]:
    """A function that makes an empty database in a PostgreSQL of the tests' own."""
    if not PROGRAMS:
        pytest.skip("PostgreSQL is not installed (Debian: apt-get install postgresql)")
    server = Postgres()
    yield server.make
    server.remove()


@pytest.fixture(params=["sqlite", "postgresql"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    """The same tests on both."""
    url = request.getfixturevalue("postgres")() if request.param == "postgresql" else None
    found = open_store(tmp_path / "store", url=url)
    yield found
    found.close()


@pytest.fixture
def service(model_folder: Path, tmp_path: Path) -> Iterator[Service]:
    """A service on SQLite that has not been started."""
    found = Service(open_store(tmp_path / "store"), ServedModel(model_folder))
    yield found
    found.store.close()


def arrive(store: Store, path: Path, name: str = "") -> Arrived:
    """A copy of a file, as it comes in."""
    to = store.files.incoming / f"{os.urandom(8).hex()}"
    shutil.copy(path, to)
    return Arrived(path=to, name=name or path.name)


def keep(store: Store, content: bytes) -> str:
    """Put a file into the archive, as `Archive.keep` does; its SHA-256."""
    with store.files.receiving() as path:
        path.write_bytes(content)
        return store.files.keep(path)


def self_signed(folder: Path) -> TlsFiles:
    """A certificate for this machine, which is its own authority."""
    cert, key = folder / "cert.pem", folder / "key.pem"
    words = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=127.0.0.1"]
    words += ["-addext", "subjectAltName=IP:127.0.0.1", "-keyout", str(key), "-out", str(cert)]
    subprocess.run(words, check=True, capture_output=True)
    return TlsFiles(cert=cert, key=key, ca=cert)
