from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from pydicom import Dataset, dcmread
from sqlalchemy import select, update
from tests.serve.conftest import arrive

from overread.serve import reporting
from overread.serve.answering import Answerer
from overread.serve.intake import Intake
from overread.serve.model import ServedModel
from overread.serve.reporting import Reporter
from overread.serve.results import Answered, make_report
from overread.serve.store import Store
from overread.serve.tables import Instance, Sending, Step, Study


@pytest.fixture
def reporter(store: Store, model_folder: Path, slices: list[Path]) -> Reporter:
    """Of three studies of four images each, all of them answered."""
    model = ServedModel(model_folder)
    Intake(store).take([arrive(store, path) for path in slices], came_by="c-store", who="me")
    Answerer(store, model).answer_waiting()
    return Reporter(store=store, model=model, destinations=("PACS@127.0.0.1:1",), quiet_s=0)


def _results(store: Store, kind: str) -> list[Dataset]:
    """What stands in line, in its order."""
    with store.read() as session:
        rows = session.scalars(select(Sending).where(Sending.kind == kind).order_by(Sending.id)).all()
    return [dcmread(store.files.path_of(row.sha256)) for row in rows]


def _references(report: Dataset) -> list[str]:
    (evidence,) = report.CurrentRequestedProcedureEvidenceSequence
    return [
        str(image.ReferencedSOPInstanceUID)
        for series in evidence.ReferencedSeriesSequence
        for image in series.ReferencedSOPSequence
    ]


def _items(content: Dataset) -> Iterator[Dataset]:
    """All content items of a report that have a name, at every depth."""
    for item in content.get("ContentSequence", []):
        yield from (item, *_items(item)) if "ConceptNameCodeSequence" in item else _items(item)


def _instead(monkeypatch: pytest.MonkeyPatch, first: Callable[[Answered], None]) -> None:
    """Have something happen before a report is made."""

    def make(answered: Sequence[Answered], *args: Any, **more: Any) -> Dataset:
        first(answered[0])
        return make_report(answered, *args, **more)

    monkeypatch.setattr(reporting, "make_report", make)


def test_a_study_has_a_report_and_a_capture_of_each_series(
    reporter: Reporter, store: Store, slices: list[Path]
) -> None:
    assert [reporter.report_due(), reporter.report_due()] == [3, 0]
    reports, captures = _results(store, "sr"), _results(store, "sc")
    assert (len(reports), len(captures)) == (3, 3)
    sources = {str(header.SOPInstanceUID): header for header in map(dcmread, slices)}
    assert sorted(uid for report in reports for uid in _references(report)) == sorted(sources)
    for made in (*reports, *captures):
        of = _references(made)[0] if made in reports else made.SourceImageSequence[0].ReferencedSOPInstanceUID
        for name in ("PatientID", "PatientName", "PatientSex", "StudyDate", "StudyInstanceUID"):
            assert made[name].value == sources[str(of)][name].value


def test_a_node_that_sends_nowhere_makes_nothing_and_makes_up_for_it_later(reporter: Reporter, store: Store) -> None:
    before = {path for path in store.files.folder.rglob("*") if path.is_file()}
    nowhere = Reporter(store=store, model=reporter.model, destinations=(), quiet_s=0)
    assert nowhere.report_due() == 0
    assert {path for path in store.files.folder.rglob("*") if path.is_file()} == before
    assert reporter.report_due() == 3


def test_a_large_study_has_several_reports_in_one_series(
    reporter: Reporter, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reporting, "MOST_TOGETHER", 3)
    assert reporter.report_due() == 3
    reports = _results(store, "sr")
    assert [(int(one.InstanceNumber), len(_references(one))) for one in reports] == [(1, 3), (2, 1)] * 3
    assert len({str(one.SOPInstanceUID) for one in reports}) == 6
    for one, other in zip(reports[::2], reports[1::2], strict=True):
        for name in ("StudyInstanceUID", "SeriesInstanceUID", "PatientID", "PatientName"):
            assert one[name].value == other[name].value
        assert not set(_references(one)) & set(_references(other))


def test_reports_of_an_image_of_several_frames_tell_whose_they_are(
    store: Store, model_folder: Path, slices: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reporting, "MOST_TOGETHER", 3)
    source = dcmread(slices[0])
    source.SOPClassUID = source.file_meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.7.3"
    source.NumberOfFrames, source.PixelData = 5, 5 * source.PixelData
    source.save_as(tmp_path / "a.dcm")
    Intake(store).take([arrive(store, tmp_path / "a.dcm")], came_by="c-store", who="me")
    model = ServedModel(model_folder)
    Answerer(store, model).answer_waiting()
    assert Reporter(store=store, model=model, destinations=("PACS@127.0.0.1:1",), quiet_s=0).report_due() == 1
    reports = _results(store, "sr")
    assert len(reports) == 2
    for made in (*reports, *_results(store, "sc")):
        for name in ("PatientID", "PatientName", "PatientSex", "StudyDate", "AccessionNumber", "StudyInstanceUID"):
            assert made[name].value == source[name].value


def test_results_of_an_image_without_a_patient_are_of_the_patient_of_its_study(
    store: Store, model_folder: Path, slices: list[Path], tmp_path: Path
) -> None:
    """It joins the others, and comes before them here, in a series of its own."""
    nameless, named = dcmread(slices[0]), dcmread(slices[1])
    nameless.PatientID = nameless.PatientName = ""
    nameless.SeriesInstanceUID, nameless.SeriesNumber = "1.2.3", 7
    nameless.save_as(tmp_path / "a.dcm")
    Intake(store).take([arrive(store, tmp_path / "a.dcm"), arrive(store, slices[1])], came_by="c-store", who="me")
    model = ServedModel(model_folder)
    Answerer(store, model).answer_waiting()
    assert Reporter(store=store, model=model, destinations=("PACS@127.0.0.1:1",), quiet_s=0).report_due() == 1
    (report,), captures = _results(store, "sr"), _results(store, "sc")
    assert [_references(report)[0], captures[0].SourceImageSequence[0].ReferencedSOPInstanceUID] == [
        nameless.SOPInstanceUID
    ] * 2
    assert len(captures) == 2
    for made in (report, *captures):
        for name in ("PatientID", "PatientName", "StudyDate", "StudyInstanceUID"):
            assert made[name].value == named[name].value
    names = [item.TextValue for item in _items(report) if item.ConceptNameCodeSequence[0].CodeValue == "112039"]
    assert [name.startswith("series 7") for name in names] == [True, False]


def test_one_study_keeps_no_other_from_its_results(
    reporter: Reporter, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    with store.read() as session:
        odd = session.scalars(select(Study.uid)).first()

    def refuse(first: Answered) -> None:
        if first.dataset.StudyInstanceUID == odd:
            raise ZeroDivisionError

    _instead(monkeypatch, refuse)
    assert [reporter.report_due(), reporter.report_due()] == [2, 0]
    monkeypatch.setattr(reporting, "make_report", make_report)
    assert reporter.report_due() == 0
    monkeypatch.setattr(reporting.time, "monotonic", lambda: float("inf"))
    assert [reporter.report_due(), reporter.report_due()] == [1, 0]
    with store.read() as session:
        (step,) = session.scalars(select(Step).where(Step.did == "not reported"))
    assert (step.subject, step.details["fault"]) == (odd, "ZeroDivisionError")


def test_a_file_that_is_lost_keeps_no_other_study_from_its_results(reporter: Reporter, store: Store) -> None:
    """The study's own results are made when the file is there again."""
    with store.read() as session:
        path = store.files.path_of(session.scalars(select(Instance.sha256)).first() or "")
    aside = path.rename(path.with_suffix(".aside"))
    assert [reporter.report_due(), reporter.report_due()] == [2, 0]
    aside.rename(path)
    again = Reporter(store=store, model=reporter.model, destinations=reporter.destinations, quiet_s=0)
    assert again.report_due() == 1
    assert sorted(len(_references(one)) for one in _results(store, "sr")) == [4, 4, 4]


def test_nothing_is_left_of_results_that_more_images_overtake(
    reporter: Reporter, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = {path for path in store.files.folder.rglob("*") if path.is_file()}

    times = (f"2026-01-01T00:00:{second:02}.000000Z" for second in range(60))

    def change(first: Answered) -> None:
        with store.begin() as session:
            session.execute(update(Study).values(changed_at=next(times)))

    _instead(monkeypatch, change)
    assert reporter.report_due() == 0
    assert {path for path in store.files.folder.rglob("*") if path.is_file()} == before
    assert _results(store, "sr") == []
    monkeypatch.setattr(reporting, "make_report", make_report)
    assert reporter.report_due() == 3


def test_a_stop_waits_for_one_result_and_not_for_all(
    reporter: Reporter, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    stopped: list[Answered] = []
    _instead(monkeypatch, stopped.append)
    monkeypatch.setattr(reporting, "MOST_TOGETHER", 1)
    assert reporter.report_due(lambda: bool(stopped)) == 0
    assert len(stopped) == 1
