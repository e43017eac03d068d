"""Does a run agree with its reference? Judged on every result and on the arrays of every figure.

A value that is not identical is held against the 95 % prediction interval of the reference's seeds, with Holm's
correction over the notebook: when nothing changed but the seed, at most one notebook in twenty is said to differ.

Another processor rounds otherwise. How far that carries is measured, too (``make bench ARGS=spread``): the notebook's
own seed is run again with other instruction sets, one thread, and the other number format. The largest deviation that
this made is the numerical tolerance of a value; it widens the seeds' interval, and where no seed moves a value, it is
the interval's standard deviation.
"""

from __future__ import annotations

import math
import statistics
from dataclasses import asdict, dataclass, replace

from . import changes, inference
from .store import GOOD, RESULTS, sidecar

ROUNDING = 1e-6  # relative; the least tolerance: sums in another order differ by as much
TIMES = 2.0  # timings are never judged more finely than this
NOT_JUDGED = "not judged"


@dataclass(frozen=True)
class Row:
    """What became of one metric or figure of the reference run."""

    name: str
    what: str  # metric | figure | timing | record (a figure of what an earlier run measured)
    verdict: str  # "" until chance has been asked
    reference: float | str | None = None
    now: float | str | None = None
    difference: float | None = None
    mean: float | None = None  # it agrees within mean ± tolerance
    tolerance: float | None = None
    missing: str | None = None  # where it is not there: reference | now
    unit: str | None = None
    why: str = ""

    def judged(self, verdict: str, why: str = "", **more) -> Row:
        return replace(self, verdict=verdict, why=why or self.why, **more)


Tests = list[inference.Deviation]  # what a row without a verdict is judged by


def agree(record: dict, reference: dict, spread: dict | None) -> dict:
    """The verdict on `record`, with one row for each metric and figure of the two runs.

    Args:
        spread: of the reference's seeds and of other processors; None when it was not measured, then only identical
            values agree.
    Returns:
        ``verdict`` (identical | agrees | differs | cannot compare | times only), ``why``, ``agree`` and ``of``
        (results that are identical or agree, of all), ``rows`` (name, what, reference, now, difference, mean,
        tolerance, verdict, why, missing), and ``since``: what differs between the two runs. A value agrees within
        mean ± tolerance.
    """
    barrier = comparable(reference, record)
    if spread is not None and not belongs(spread, reference):
        spread = None
    found = [_metric(name, record, reference, spread) for name in {**reference["metrics"], **record["metrics"]}]
    found += [_figure(name, record, reference, spread) for name in {**reference["figures"], **record["figures"]}]
    if barrier:
        found = [(row.judged("cannot compare", difference=None), []) for row, _ in found]
    rows = [row for row in _judge(found) if row.verdict != NOT_JUDGED]
    results = [row for row in rows if row.what in RESULTS]
    said = [row.verdict for row in results]
    good = sum(verdict in GOOD for verdict in said)
    # What the reference did not have yet says nothing about the rest; what is gone or cannot be judged does.
    unjudged = any(row.verdict == "cannot compare" and row.missing != "reference" for row in results)
    if "differs" in said and not barrier:
        verdict = "differs"
    elif not results and not barrier:
        verdict = "times only"
    elif barrier or unjudged or not good:
        verdict = "cannot compare"
    else:
        verdict = "identical" if set(said) == {"identical"} else "agrees"
    return {
        "reference": reference["run_id"],
        "verdict": verdict,
        "why": barrier or "",
        "agree": good,
        "of": len(results),
        "seeds": len(spread["seeds"]) if spread else 0,
        "since": changes.between(reference, record),
        "rows": [asdict(row) for row in rows],
    }


def comparable(old: dict, new: dict) -> str:
    """Why two runs cannot be compared at all; "" when they can."""
    for name, what in (("notebook", "notebook"), ("profile", "profile"), ("data_hash", "data")):
        if old[name] != new[name]:
            return f"other {what}: {old[name]} against {new[name]}"
    for record in (old, new):
        if record["status"] != "finished":
            return f"run {record['run_id']} is {record['status']}"
    return ""


def arrays(record: dict, figure: str) -> dict:
    return sidecar(record, figure)["data"]


def flatten(value) -> list:
    """Numbers and texts of a plotted array, whatever its shape."""
    if isinstance(value, dict):
        value = list(value.values())
    return [leaf for item in value for leaf in flatten(item)] if isinstance(value, list) else [value]


def belongs(spread: dict, reference: dict) -> bool:
    """Whether a spread over seeds was measured with the reference's config and data."""
    return all(spread[name] == reference[name] for name in ("notebook", "profile", "config_hash", "data_hash"))


def _one_sided(row: Row, there) -> tuple[Row, Tests]:
    missing, where = ("reference", "the reference") if there is None else ("now", "this")
    return row.judged("cannot compare", f"not in {where} run", missing=missing), []


def _metric(name: str, record: dict, reference: dict, spread: dict | None) -> tuple[Row, Tests]:
    """The row of a metric, and what it is judged by where chance has a part in it."""
    there, here = reference["metrics"].get(name), record["metrics"].get(name)
    what = "timing" if {m["kind"] for m in (there, here) if m} == {"timing"} else "metric"
    row = Row(name, what, "", there and there["final"], here and here["final"])
    if there is None or here is None:
        return _one_sided(row, there)
    row = replace(row, unit=here["unit"])
    if there["unit"] != here["unit"] or there["kind"] != here["kind"]:
        return row.judged("cannot compare", f"the reference has it in {there['unit']!r}, {there['kind']}"), []
    if what == "timing":
        return _timing(row), []
    if there.get("items") and here.get("items") and there["items"] != here["items"]:
        return row.judged("cannot compare", "other evaluation set"), []
    if row.now == row.reference:
        return row.judged("identical", difference=0), []
    if not all(isinstance(value, (int, float)) for value in (row.now, row.reference)):
        return row.judged("differs", "not a number"), []
    row = replace(row, difference=row.now - row.reference)
    if same := _same([row.now], [row.reference]):
        return row.judged("agrees", same, mean=row.reference, tolerance=ROUNDING * abs(row.reference)), []
    if record["seed"] is None:
        return _without_chance(row), []
    values = spread["metrics"].get(name) if spread else None
    if values is None or not all(isinstance(v, (int, float)) for v in values):
        return row.judged("cannot compare", "its spread over seeds was not measured"), []
    mean, sd = statistics.mean(values), statistics.stdev(values)
    rounding = spread.get("rounding", {}).get("metrics", {}).get(name) or 0.0
    if sd <= ROUNDING * abs(mean):
        if record["seed"] != reference["seed"] and not _within(row.now, mean, 3 * rounding):
            # Five equal values do not rule out that a sixth seed differs.
            return row.judged("cannot compare", "all seeds gave one value: no spread to judge by"), []
        if rounding <= ROUNDING * abs(mean):
            return _without_chance(row), []
        mean = row.reference
    return replace(row, mean=mean), [inference.Deviation(abs(row.now - mean), math.hypot(sd, rounding), len(values))]


def _timing(row: Row) -> Row:
    if not all(isinstance(value, (int, float)) for value in (row.reference, row.now)) or row.reference <= 0:
        return row.judged("no ratio")
    ratio = row.now / row.reference
    return row.judged(f"{'' if 1 / TIMES <= ratio <= TIMES else 'not '}within {TIMES:g}x", difference=ratio)


def _within(value: float, other: float, tolerance: float = 0.0) -> bool:
    if _counted(value, other):
        return abs(value - other) <= tolerance
    return math.isclose(value, other, rel_tol=ROUNDING, abs_tol=max(tolerance, 1e-12))


def _counted(value, other) -> bool:
    """Whole numbers, where nothing rounds; as floats, two of them beyond 2**53 can be one."""
    return type(value) is type(other) is int


def _same(values: list, others: list) -> str:
    """In words, how little values differ that are the same but for rounding; "" when they are not."""
    farthest = 0.0
    for value, other in zip(values, others, strict=True):
        if not all(isinstance(each, (int, float)) for each in (value, other)):
            if value != other:
                return ""
        elif not _within(value, other):
            return ""
        elif value != other:
            farthest = max(farthest, abs(value - other) / max(abs(value), abs(other)))
    return f"the same to {farthest:.0e}"


def _without_chance(row: Row) -> Row:
    """Neither the seed nor a processor has a part in this value: only its last digits may differ."""
    verdict = "agrees" if _within(row.now, row.reference) else "differs"
    rounding = 0.0 if _counted(row.now, row.reference) else ROUNDING
    return row.judged(verdict, mean=row.reference, tolerance=rounding * abs(row.reference))


def _figure(name: str, record: dict, reference: dict, spread: dict | None) -> tuple[Row, Tests]:
    there, here = reference["figures"].get(name), record["figures"].get(name)
    row, kinds = Row(name, "figure", ""), {f["kind"] for f in (there, here) if f}
    if here and here.get("from"):
        return replace(row, what="record").judged("not measured here", f"from record {here['from']}"), []
    if kinds == {"timing"}:
        return row.judged(NOT_JUDGED), []  # its numbers are timings, which the metrics have
    if there is None or here is None:
        return _one_sided(row, there)
    if len(kinds) > 1:
        return row.judged("cannot compare", "a timing in one of the two runs"), []
    try:
        old, new = arrays(reference, name), arrays(record, name)
    except (OSError, ValueError) as error:
        return row.judged("cannot compare", f"its arrays cannot be read: {type(error).__name__}"), []
    if old == new:
        return row.judged("identical", difference=0), []
    was, now = flatten(old), flatten(new)
    if list(old) != list(new) or len(was) != len(now):
        return row.judged("differs", f"{len(now)} values, the reference has {len(was)}"), []
    if same := _same(now, was):
        return row.judged("agrees", same, difference=0.0), []
    if record["seed"] is None:
        means, sds, n = was, [0.0] * len(was), 0
    elif spread is None or not _fits(known := spread["figures"].get(name), len(now)):
        return row.judged("cannot compare", "its spread over seeds was not measured"), []
    else:
        means, sds, n = known["mean"], known["sd"], len(spread["seeds"])
    rounding = (spread or {}).get("rounding", {}).get("figures", {}).get(name, {}) if n else {}
    tolerances = [rounding.get(key, 0.0) for key, value in new.items() for _ in flatten([value])]
    deviations, skipped = [], 0
    for value, was_value, mean, sd, tolerance in zip(now, was, means, sds, tolerances, strict=True):
        numbers = isinstance(value, (int, float)) and isinstance(mean, (int, float))
        if sd is None or tolerance is None:  # a text, or no number, that differs with seed or processor: says nothing
            skipped += 1
        elif numbers and math.hypot(sd, tolerance) > ROUNDING * abs(mean):
            centre = mean if sd > ROUNDING * abs(mean) else was_value
            deviations.append(abs(value - centre) / math.hypot(sd, tolerance))
        elif not (_within(value, was_value) if numbers else value == mean):
            if record["seed"] not in (None, reference["seed"]):
                return row.judged("cannot compare", f"{value} where all seeds gave {mean}"), []
            return row.judged("differs", f"{value} where the reference has {was_value}"), []
    if skipped == len(now):
        return row.judged("cannot compare", "nothing in it can be judged over seeds"), []
    row = replace(row, why=f"{skipped} of {len(now)} values are not judged" if skipped else "")
    if not deviations:
        return row.judged("agrees", difference=0.0), []
    # Two views of the same deviations, half of the level each: one value far off, or the whole curve a little.
    rms = math.sqrt(sum(d * d for d in deviations) / len(deviations))
    return row, [inference.Deviation(max(deviations), 1.0, n, len(deviations)), inference.Deviation(rms, 1.0, n)]


def _fits(known: dict | None, n: int) -> bool:
    return known is not None and len(known["mean"]) == len(known["sd"]) == n


def _judge(found: list[tuple[Row, Tests]]) -> list[Row]:
    """The rows, those that chance has a part in with their verdict, all together."""
    asked = [min(1.0, len(tests) * min(test.p for test in tests)) for _, tests in found if tests]
    levels = iter(inference.holm(asked))
    return [_by_chance(row, tests, next(levels)) if tests else row for row, tests in found]


def _by_chance(row: Row, tests: Tests, level: float) -> Row:
    test = min(tests, key=lambda test: test.p)
    row = row.judged(
        "differs" if len(tests) * test.p <= level else "agrees", tolerance=test.allowed(level / len(tests))
    )
    if row.what != "figure":
        return row
    unit = "sd, farthest value" if test is tests[0] else "sd, root mean square"
    return replace(row, difference=test.deviation, unit=unit)
