"""Whether the statistics keep their word, by simulation: intervals, conformal sets, paired tests, triage.

Patients have one or several images, which are alike among themselves; what is true is known. Intervals should hold
the truth 93 to 97 times in 100 (95 %), sets 88 to 92 (90 %), models that do not differ should be told apart 5 times
or fewer, and the risks of triage be exceeded 5 times or fewer. A star marks what does not.

    python benchmarks/coverage.py                              # about half an hour on two cores
    python benchmarks/coverage.py --only tests --repeats 200
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from typing import Any

import numpy as np

from overread.evaluate import measure
from overread.evaluate.score import score
from overread.run.job import machine
from overread.stats import metrics
from overread.stats.comparison import compare
from overread.stats.conformal import Refused, Strangeness, calibrate_sets
from overread.stats.intervals import Measured, delong, patient_bootstrap, wilson
from overread.stats.likelihood import likelihood_ratios, predictive_values
from overread.stats.paired import delong_test, mcnemar, mcnemar_clustered, swap_test
from overread.stats.triage import Cut, bound_predictions, bound_rates
from worlds import Classes, World

N_RESAMPLES = 400
PROMISES = {"plain": "image", "by class": "image", "by patient": "patient"}
Table = dict[str, tuple[float, bool]]
"""a line of figures, each with whether it is as it should be"""


def figures(world: World, rng: np.random.Generator) -> dict[str, Measured]:
    """Every figure of one drawn part."""
    ill, (scores,), of = world.draw(rng)
    p = world.probabilities(scores)
    called = p[:, 1] > p[:, 0]
    measure.N_RESAMPLES = N_RESAMPLES
    found = score(ill.astype(int), p, [str(patient) for patient in of], ("healthy", "ill"), rng=rng)
    shown = {m.name: m for m in found.measured if m.label == "ill" or (m.label is None and m.name != "f1")}
    ratios = likelihood_ratios(ill, called, of)
    values = predictive_values(ratios, world.ill)
    shown |= {m.name: m for m in (ratios.positive, ratios.negative, values.positive, values.negative)}
    return shown | _others(ill, scores, of, called, rng)


def _others(ill: Any, scores: Any, of: Any, called: Any, rng: np.random.Generator) -> dict[str, Measured]:
    """Methods that were not chosen, beside those that were."""

    def areas(weights: Any) -> Any:
        return metrics.auroc(ill, scores, weights=weights)[:, None]

    by_unit = np.zeros(of.max() + 1, int)
    by_unit[of] = ill
    low, high = patient_bootstrap(areas, of, by_unit, rng=rng, n_resamples=N_RESAMPLES)
    ends = {"auroc: BCa": (low[0], high[0]), "accuracy: Wilson by image": wilson((called == ill).sum(), ill.size)}
    for name, patients in (("auroc: DeLong by image", None), ("auroc: DeLong by patient", of)):
        area, variance = delong(ill, scores, patients)
        ends[name] = area - 1.96 * math.sqrt(variance), area + 1.96 * math.sqrt(variance)
    return {
        name: Measured(name=name, value=0, low=low, high=high, n_images=0, n_patients=0, method="")
        for name, (low, high) in ends.items()
    }


def intervals(world: World, repeats: int, seed: int) -> Table:
    """Share of the intervals that hold the truth, among those that are given."""
    rng = np.random.default_rng(seed)
    truth = _truth(world, rng)
    held: dict[str, list[bool]] = {name: [] for name in truth}
    for _ in range(repeats):
        for name, m in figures(world, rng).items():
            if not math.isnan(m.low):
                held.setdefault(name, []).append(m.low <= truth[name.partition(":")[0]] <= m.high)
    table = {}
    for name, one in held.items():
        given = f" ({len(one) / repeats:.0%} given)" if len(one) < 0.995 * repeats else ""
        table[name + given] = (float(np.mean(one)) if one else math.nan, 0.93 <= np.mean(one) <= 0.97)
    return table


def _truth(world: World, rng: np.random.Generator) -> dict[str, float]:
    """Every figure of 400,000 patients."""
    ill, (scores,), _ = World(patients=400_000, distance=world.distance, ill=world.ill).draw(rng)
    p, t = world.probabilities(scores), ill.astype(int)
    table = metrics.confusion(t, p.argmax(1), 2)
    found, right = metrics.sensitivity(table)[1], metrics.specificity(table)[1]
    predictive = metrics.precision(table)
    return {
        "accuracy": metrics.accuracy(table),
        "balanced_accuracy": metrics.balanced_accuracy(table),
        "sensitivity": found,
        "specificity": right,
        "auroc": metrics.auroc(ill, scores),
        "average_precision": metrics.average_precision(ill, scores),
        "f1": metrics.f1(table)[1],
        "mcc": metrics.mcc(table),
        "kappa": metrics.kappa(table),
        "brier": metrics.brier(t, p),
        "log_loss": metrics.log_loss(t, p),
        "positive likelihood ratio": found / (1 - right),
        "negative likelihood ratio": (1 - found) / right,
        "positive predictive value": predictive[1],
        "negative predictive value": predictive[0],
    }


def sets(case: Classes, repeats: int, seed: int) -> Table:
    """Coverage of sets that promise 90 %, of all images, by class, or of all images of a patient."""
    rng = np.random.default_rng(seed)
    kinds = [("lac", False), ("aps", False), ("raps", False), ("aps", True), ("raps", True)]
    table: Table = {}
    for kind, randomised in kinds:
        how, name = Strangeness(kind=kind, randomised=randomised), kind + (" randomised" if randomised else "")
        for promise in PROMISES:
            held, by_class, size = [], [], []
            for _ in range(repeats):
                truth, p, of = case.draw(rng, case.patients, case.images)
                asked = {"strangeness": how, "by_class": promise == "by class", "promise": PROMISES[promise]}
                rule = calibrate_sets(truth, p, patients=of, rng=rng, **asked)
                if isinstance(rule, Refused):
                    continue
                truth, p, of = case.draw(rng, 200, case.images)
                chosen = rule.sets(p, rng)
                inside = chosen[np.arange(truth.size), truth]
                each = np.bincount(of, weights=inside) / np.bincount(of)
                held.append(np.mean(each == 1 if promise == "by patient" else each))
                by_class.append([inside[truth == c].mean() for c in range(case.classes)])
                size.append(chosen.sum(axis=1).mean())
            value = float(np.mean(held)) if held else math.nan
            table[f"{name}, {promise}"] = (value, 0.88 <= value <= 0.92)
            if promise != "by patient" and held:
                worst = float(np.nanmean(by_class, axis=0).min())
                table[f"{name}, {promise}: worst class"] = (worst, promise == "plain" or worst >= 0.88)
            table[f"{name}, {promise}: size"] = (float(np.mean(size)) if size else math.nan, True)
    return table


def tests(case: World, repeats: int, seed: int) -> Table:
    """Share of comparisons called different (p of 0.05 or less), where models do not differ and where they do."""
    rng = np.random.default_rng(seed)
    table: Table = {}
    for worse in (0.0, 0.5):
        found: dict[str, list[float]] = {}
        for _ in range(repeats):
            ill, (first, second), of = case.draw(rng, models=2)
            second = second + worse * rng.normal(size=of.size) - 0.4 * worse * (ill - 0.5)
            for name, p in _tested(case, ill, first, second, of, rng):
                found.setdefault(name, []).append(p)
        for name, values in found.items():
            share = float(np.mean(np.array(values) <= 0.05))
            within = 0.05 + 1.645 * math.sqrt(0.05 * 0.95 / repeats)
            table[("differ: " if worse else "same: ") + name] = (share, bool(worse) or share <= within)
    return table


def _tested(
    case: World, ill: Any, first: Any, second: Any, of: Any, rng: np.random.Generator
) -> Iterator[tuple[str, float]]:
    right = (first > 0) == ill, (second > 0) == ill
    p = case.probabilities(first), case.probabilities(second)
    yield "DeLong by image", delong_test(ill, first, second).p
    yield "DeLong by patient", delong_test(ill, first, second, of).p
    if case.patients <= 100:
        yield "swaps by patient", swap_test(ill, first, second, patients=of, rng=rng, n_swaps=399).p
    yield "compare, AUROC", compare(ill.astype(int), *p, figure="auroc", rng=rng, patients=of).p
    yield "McNemar by image", mcnemar(*right).p
    yield "McNemar by patient", mcnemar(*right, of).p
    yield "McNemar by patient, Obuchowski", mcnemar_clustered(*right, of).p
    yield "compare, accuracy", compare(ill.astype(int), *p, figure="accuracy", rng=rng, patients=of).p


def triage(case: World, repeats: int, seed: int) -> Table:
    """Share of the rules whose true risk is above the 10 % that they promise, of those not refused."""
    rng = np.random.default_rng(seed)
    ill, score_of = _highest(World(patients=100_000, images=case.images, distance=case.distance, ill=case.ill), rng)
    over: dict[str, list[bool]] = {}
    read: dict[str, list[float]] = {"rates": [], "predictions": []}
    for _ in range(repeats):
        positive, (scores,), of = case.draw(rng)
        rates = bound_rates(positive, scores, of, missed=0.1, alarmed=0.1)
        tried = np.linspace(-2, 2, 9)
        values = bound_predictions(positive, scores, of, ill_ruled_out=0.1, healthy_ruled_in=0.1, thresholds=tried)
        for name, rule in (("rates", rates), ("predictions", values)):
            acts = np.array(rule.actions(score_of))
            read[name].append(float((acts == "read").mean()))
            for side, cut, wrong in (("rule out", rule.rule_out, ill), ("rule in", rule.rule_in, ~ill)):
                if isinstance(cut, Cut):
                    among = wrong if name == "rates" else acts == side
                    hit = (acts == side)[among] if name == "rates" else wrong[among]
                    over.setdefault(f"{name}, {side}: risk above 10 %", []).append(
                        bool(hit.size and hit.mean() > 0.1)
                    )
    table: Table = {}
    for name, one in over.items():
        within = 0.05 + 1.645 * math.sqrt(0.05 * 0.95 / len(one))
        table[f"{name} ({len(one) / repeats:.0%} given)"] = (float(np.mean(one)), float(np.mean(one)) <= within)
    return table | {f"{name}: left to a human": (float(np.mean(one)), True) for name, one in read.items()}


def _highest(world: World, rng: np.random.Generator) -> tuple[Any, Any]:
    ill, (scores,), of = world.draw(rng)
    highest = np.full(world.patients, -math.inf)
    np.maximum.at(highest, of, scores)
    return np.bincount(of, weights=ill) > 0, highest


FEW, MANY = (1, 4), (1, 19)
CASES: dict[str, tuple[Callable[..., Table], Sequence[Any]]] = {
    "intervals": (
        intervals,
        [World(patients=n, images=each) for n in (12, 28, 60, 200) for each in ((1, 1), FEW)]
        + [World(patients=n, images=MANY) for n in (28, 60, 200)]
        + [World(patients=100, images=each, ill=0.2) for each in ((1, 1), FEW)]
        + [World(patients=n, images=FEW, distance=2.4) for n in (28, 60, 200)],
    ),
    "sets": (
        sets,
        [
            Classes(patients=n, images=each, classes=k)
            for k in (2, 3)
            for n in (30, 60, 200)
            for each in ((1, 1), FEW)
        ],
    ),
    "tests": (tests, [World(patients=n, images=each) for n in (28, 100, 500) for each in ((1, 1), FEW)]),
    "triage": (
        triage,
        [World(patients=n, images=each, distance=2.4) for n in (100, 200, 500) for each in ((1, 1), FEW)],
    ),
}


def main() -> None:
    """Print a block a case, in the order of the page's four questions."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", nargs="+", choices=list(CASES), default=list(CASES))
    parser.add_argument("--repeats", type=int, default=1000)
    parser.add_argument("--workers", type=int, default=2)
    args = parser.parse_args()
    print(machine())
    with ProcessPoolExecutor(args.workers) as pool:
        waiting = [
            (name, case, pool.submit(CASES[name][0], case, args.repeats, seed))
            for name in args.only
            for seed, case in enumerate(CASES[name][1])
        ]
        for name, case, result in waiting:
            print(f"\n{name}: {case}; {args.repeats} repeats", flush=True)
            for line, (value, well) in result.result().items():
                print(f"  {line:<52}{value:7.3f}{'' if well else ' *'}", flush=True)


if __name__ == "__main__":
    main()
