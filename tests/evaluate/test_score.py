from __future__ import annotations

import json
import math

import numpy as np
import pytest

from overread.errors import CohortError, ModelError
from overread.evaluate.score import TABLE_HEADINGS, Score, as_table, notes, score
from overread.stats import metrics
from overread.stats.intervals import wilson
from overread.stats.jackknife import patient_jackknife

CLASSES = ("aneurysm", "cancer", "tumor")


def case(seed: int = 0, *, n_patients: int = 90, images_each: int = 2, k: int = 3, skill: float = 1.0):
    """Truth, probabilities and patients: each patient has one class and `images_each` images of it."""
    rng = np.random.default_rng(seed)
    truth = np.repeat(np.arange(n_patients) % k, images_each)
    patients = [f"p{i}" for i in np.repeat(np.arange(n_patients), images_each)]
    logits = skill * np.eye(k)[truth] + rng.normal(size=(truth.size, k))
    p = np.exp(logits)
    return truth, p / p.sum(1, keepdims=True), patients


def scored(truth, p, patients, classes=CLASSES, **more) -> Score:
    return score(truth, p, patients, classes, rng=np.random.default_rng(0), **more)


def test_two_classes_known_by_hand():
    truth = np.array([0, 0, 0, 0, 1, 1, 1, 1])
    sick = np.array([0.1, 0.2, 0.7, 0.3, 0.9, 0.8, 0.4, 0.6])
    result = scored(truth, np.c_[1 - sick, sick], list("abcdefgh"), ("normal", "pneumonia"))
    assert result.confusion == ((3, 1), (1, 3))
    assert result.positive == "pneumonia"
    assert result.figure("accuracy").value == 6 / 8
    assert (result.figure("accuracy").low, result.figure("accuracy").high) == wilson(6, 8)
    assert result.figure("auroc").value == 14 / 16
    assert result.figure("sensitivity", "pneumonia").value == 3 / 4
    assert result.figure("specificity", "pneumonia").value == 3 / 4
    assert result.figure("f1", "normal").value == 3 / 4
    assert result.figure("sensitivity", "normal").n_images == 4
    assert result.figure("accuracy").n_patients == 8
    with pytest.raises(KeyError):
        result.figure("auroc", "normal")


def test_the_positive_class_can_be_told():
    truth, p, patients = case(k=2)
    p = np.c_[p[:, 0], 1 - p[:, 0]]
    second = scored(truth, p, patients, ("covid", "other"))
    first = scored(truth, p, patients, ("covid", "other"), positive="covid")
    assert (second.positive, first.positive) == ("other", "covid")
    assert first.figure("auroc").value == pytest.approx(second.figure("auroc").value)
    assert as_table(first)[2][:2] == ("AUROC", "covid")


def test_every_figure_is_there_with_an_interval_around_it():
    result = scored(*case())
    names = [(m.name, m.label) for m in result.measured]
    assert names[:3] == [("accuracy", None), ("balanced_accuracy", None), ("auroc", None)]
    for name in ("auroc", "f1", "sensitivity", "specificity"):
        assert [label for n, label in names if n == name and label] == list(CLASSES)
    assert all(m.low < m.value < m.high for m in result.measured)
    assert (result.n_images, result.n_patients) == (180, 90)
    assert result.figure("auroc").value == pytest.approx(
        np.mean([result.figure("auroc", name).value for name in CLASSES])
    )


def test_images_of_one_patient_are_not_taken_for_many_patients():
    truth, p, patients = case(images_each=1)
    five = [np.repeat(a, 5, axis=0) for a in (truth, p)]
    once = scored(truth, p, patients).figure("auroc")
    again = scored(*five, [name for name in patients for _ in range(5)])
    assert (again.figure("auroc").low, again.figure("auroc").high) == pytest.approx((once.low, once.high))
    assert (again.figure("auroc").n_images, again.figure("auroc").n_patients) == (450, 90)
    accuracy, alone = again.figure("accuracy"), scored(truth, p, patients).figure("accuracy")
    assert (accuracy.low, accuracy.high) == pytest.approx((alone.low, alone.high), abs=0.01)
    assert "effective images (Rao & Scott), by patient" in accuracy.method
    assert again.figure("sensitivity", "tumor").n_patients == 30


def test_unknown_patients_are_said_to_be_unknown():
    truth, p, _ = case()
    result = scored(truth, p, [None] * truth.size)
    assert result.n_patients is None
    assert all(m.n_patients is None and "patients unknown" in m.method for m in result.measured)
    assert as_table(result)[0][-1] == "unknown"


def test_one_patient_unknown_leaves_their_number_unknown():
    truth, p, patients = case()
    assert scored(truth, p, [None, *patients[1:]]).n_patients is None


def test_one_patient_a_class_gets_no_interval_by_patient():
    truth, p, _ = case(n_patients=60)
    result = scored(truth, p, [CLASSES[c] for c in truth])
    assert result.n_patients == 3
    assert math.isnan(result.figure("auroc").low)
    assert result.figure("auroc").method == "no interval: a class has only one patient"
    by_image = wilson(80, 120)
    assert result.figure("accuracy").high - result.figure("accuracy").low > 1.5 * (by_image[1] - by_image[0])


def test_areas_have_their_interval_on_the_log_odds_by_patient():
    truth, p, patients = case(k=2)
    found, codes = scored(truth, p, patients, ("healthy", "ill")), np.repeat(np.arange(90), 2)
    for name, figure in (("auroc", metrics.auroc), ("average_precision", metrics.average_precision)):

        def statistic(weights, figure=figure):
            return figure(truth == 1, p[:, 1], weights=weights)[:, None]

        low, high = patient_jackknife(statistic, codes, np.arange(90) % 2).logit_interval()
        assert (found.figure(name).low, found.figure(name).high) == pytest.approx((low[0], high[0]))
        assert "log odds" in found.figure(name).method


def test_areas_that_cannot_vary_are_not_told_as_certain():
    truth = np.arange(60) % 2
    for p in (np.full((60, 2), 0.5), np.eye(2)[truth]):
        found = scored(truth, p, [f"p{i}" for i in range(60)], ("healthy", "ill"))
        for name in ("auroc", "average_precision"):
            assert found.figure(name).high - found.figure(name).low > 0.05


def test_few_patients_are_called_rough():
    assert "rough, as a class has only 5 patients" in scored(*case(n_patients=15)).figure("auroc").method
    assert "rough" not in scored(*case()).figure("auroc").method


def test_a_perfect_result_still_has_doubt():
    truth = np.repeat([0, 1, 2], 9)
    result = scored(truth, np.eye(3)[truth], [f"p{i}" for i in range(27)])
    for measured in result.measured:
        if measured.name in ("brier", "log_loss"):
            assert measured.value == pytest.approx(0)
            assert math.isnan(measured.low)
            continue
        assert measured.value == measured.high == 1
        assert 0.6 < measured.low < 0.95


def test_a_class_without_images_has_no_figures_and_spoils_no_others():
    truth, p, patients = case(k=3)
    keep = truth != 1
    result = scored(truth[keep], p[keep], [q for q, kept in zip(patients, keep, strict=True) if kept])
    absent = result.figure("sensitivity", "cancer")
    assert (math.isnan(absent.value), absent.n_images, absent.n_patients) == (True, 0, 0)
    assert math.isnan(result.figure("auroc", "cancer").value)
    assert "mean of 2 of 3 classes" in result.figure("auroc").method
    assert result.figure("auroc").low < result.figure("auroc").value
    assert ("sensitivity", "cancer", "-", "-", "0", "0") in as_table(result)


@pytest.mark.parametrize("n", [1, 2, 3])
def test_a_part_of_a_few_images_can_be_scored(n):
    result = scored(np.arange(n), np.full((n, 3), 1 / 3), [f"p{i}" for i in range(n)])
    assert result.figure("accuracy").value == pytest.approx(1 / n)
    assert json.loads(json.dumps(result.to_json(), allow_nan=False))["n_images"] == n


def test_a_patient_with_two_classes_can_be_scored():
    truth, p, patients = case()
    patients = ["p0" if i % 7 == 0 else name for i, name in enumerate(patients)]
    assert scored(truth, p, patients).figure("auroc").low > 0.5


def test_the_same_generator_gives_the_same_figures():
    assert scored(*case()) == scored(*case())


def test_json_gives_all_back():
    result = scored(*case())
    assert Score.from_json(json.loads(json.dumps(result.to_json(), allow_nan=False))) == result


def test_table_has_a_cell_under_each_heading():
    rows = as_table(scored(*case()))
    assert {len(row) for row in rows} == {len(TABLE_HEADINGS)}
    assert rows[0][0] == "accuracy"
    assert rows[0][-2:] == ("180", "90")


def test_weak_intervals_are_told_and_strong_ones_are_not():
    strong = case(images_each=1)
    assert notes(scored(*strong)) == []
    assert notes(scored(*case())) == []
    (rough,) = notes(scored(*case(n_patients=12, images_each=1)))
    assert "are rough: a class has few patients" in rough
    single = notes(scored(*case(n_patients=3, images_each=2)))
    assert any(sentence.startswith("-: no interval can be given") for sentence in single)


def test_where_patients_are_unknown_the_notes_speak_of_images():
    truth, p, _ = case(n_patients=12, images_each=1)
    (rough,) = notes(scored(truth, p, [None] * truth.size))
    assert "a class has few images" in rough


def test_nothing_to_measure_is_refused():
    with pytest.raises(CohortError, match=r"The val part has no image.*--val-fraction, --test-fraction"):
        scored(np.zeros(0, int), np.zeros((0, 3)), [], part="val")


@pytest.mark.parametrize("bad", [np.nan, 7.0])
def test_what_is_no_probability_is_refused(bad):
    truth, p, patients = case()
    p[3, 0] = bad
    with pytest.raises(ModelError, match="no probabilities for 1 of 180 test images"):
        scored(truth, p, patients)
