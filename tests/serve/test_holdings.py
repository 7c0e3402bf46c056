from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pydicom import dcmread
from sqlalchemy import select
from tests.serve.conftest import arrive

from overread.serve.answering import Answerer
from overread.serve.holdings import find_instances, find_series, find_studies, held_in, read_query
from overread.serve.intake import Intake
from overread.serve.model import ServedModel
from overread.serve.reporting import Reporter
from overread.serve.store import Store
from overread.serve.tables import Sending

Found = list[dict[str, Any]]


@pytest.fixture
def full(store: Store, model_folder: Path, slices: list[Path]) -> Store:
    """Three studies of four images, and of each a report and a capture, in line for two destinations."""
    model = ServedModel(model_folder)
    Intake(store).take([arrive(store, path) for path in slices], came_by="c-store", who="me")
    Answerer(store, model).answer_waiting()
    Reporter(store=store, model=model, destinations=("ONE@127.0.0.1:1", "TWO@127.0.0.1:1"), quiet_s=0).report_due()
    return store


def _instances(store: Store, limit: int, offset: int, **wanted: str) -> Found:
    with store.read() as session:
        return find_instances(session, store.files, read_query(wanted, "instances"), limit=limit, offset=offset)


def _series(store: Store, limit: int, offset: int, **wanted: str) -> Found:
    with store.read() as session:
        return find_series(session, store.files, read_query(wanted, "series"), limit=limit, offset=offset)


def _studies(store: Store, limit: int, offset: int, **wanted: str) -> Found:
    with store.read() as session:
        return find_studies(session, store, read_query(wanted, "studies"), limit=limit, offset=offset)


def _pages(find: Callable[..., Found], store: Store, limit: int, **wanted: str) -> list[Found]:
    """What a client gets that asks for page after page until one is empty."""
    pages: list[Found] = []
    while page := find(store, limit, limit * len(pages), **wanted):
        assert len(pages) < 30, "no end"
        pages.append(page)
    return pages


def _modalities(pages: list[Found]) -> list[str]:
    return [one["Modality"] for page in pages for one in page]


def test_pages_of_images_and_results_come_to_an_end(full: Store, slices: list[Path]) -> None:
    study = str(dcmread(slices[0]).StudyInstanceUID)
    for limit in (1, 2, 4, 5, 6, 100):
        of_study = _pages(_instances, full, limit, StudyInstanceUID=study)
        assert _modalities(of_study) == ["CT"] * 4 + ["SR", "OT"]
        assert [len(page) for page in of_study[:-1]] == [limit] * (len(of_study) - 1)
        of_all = _pages(_instances, full, limit)
        assert _modalities(of_all) == ["CT"] * 12 + ["SR", "OT"] * 3
        assert len({one["SOPInstanceUID"] for page in of_all for one in page}) == 18
        assert _instances(full, limit, 1_000_000, StudyInstanceUID=study) == []


def test_results_have_their_series(full: Store, slices: list[Path]) -> None:
    study = str(dcmread(slices[0]).StudyInstanceUID)
    for limit in (1, 2, 3, 100):
        assert _modalities(_pages(_series, full, limit, StudyInstanceUID=study)) == ["CT", "SR", "OT"]
        assert _modalities(_pages(_series, full, limit)) == ["CT"] * 3 + ["SR", "OT"] * 3
        assert _modalities(_pages(_series, full, limit, Modality="SR")) == ["SR"] * 3
    series = _series(full, 100, 0, StudyInstanceUID=study)
    assert [one["NumberOfSeriesRelatedInstances"] for one in series] == [4, 1, 1]
    for one in series:
        uid, n = one["SeriesInstanceUID"], one["NumberOfSeriesRelatedInstances"]
        assert _series(full, 100, 0, SeriesInstanceUID=uid) == [one]
        told = _instances(full, 100, 0, StudyInstanceUID=study, SeriesInstanceUID=uid)
        assert [(row["Modality"], row["SeriesInstanceUID"]) for row in told] == [(one["Modality"], uid)] * n
        assert _instances(full, 100, 0, SOPInstanceUID=told[-1]["SOPInstanceUID"]) == told[-1:]
        with full.read() as session:
            assert [held.series for held in held_in(session, full.files, study, uid)] == [uid] * n


def test_a_study_counts_its_results(full: Store) -> None:
    for study in _studies(full, 100, 0):
        assert study["ModalitiesInStudy"] == ["CT", "OT", "SR"]
        assert (study["NumberOfStudyRelatedSeries"], study["NumberOfStudyRelatedInstances"]) == (3, 6)
    found = {name: len(_studies(full, 100, 0, ModalitiesInStudy=name)) for name in ("CT", "SR", "OT", "MR")}
    assert found == {"CT": 3, "SR": 3, "OT": 3, "MR": 0}
    assert _studies(full, 100, 3) == []


def test_a_result_whose_file_is_lost_hides_no_other(full: Store) -> None:
    with full.read() as session:
        lost = session.scalars(select(Sending).where(Sending.kind == "sr").order_by(Sending.id)).first()
    assert lost is not None
    full.files.path_of(lost.sha256).unlink()
    assert _modalities(_pages(_instances, full, 4)).count("SR") == 2
    assert _modalities(_pages(_series, full, 4)).count("SR") == 2
    assert sorted(one["NumberOfStudyRelatedInstances"] for one in _studies(full, 100, 0)) == [5, 6, 6]
