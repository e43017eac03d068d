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

from . import changes, inference
from .store import GOOD, NOTHING, sidecar

ROUNDING = 1e-6  # relative; the least tolerance: sums in another order differ by as much
TIMES = 2.0  # timings are never judged more finely than this


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
    rows = [_metric(name, record, reference, spread) for name in {**reference["metrics"], **record["metrics"]}]
    rows += [_figure(name, record, reference, spread) for name in {**reference["figures"], **record["figures"]}]
    rows = [row for row in rows if row is not None]
    if barrier:
        rows = [{**row, "verdict": "cannot compare", "difference": None} for row in rows]
    _judge(rows)
    results = [row for row in rows if row["what"] != "timing"]
    said = [row["verdict"] for row in results]
    good = sum(verdict in GOOD for verdict in said)
    # What the reference did not have yet says nothing about the rest; what is gone or cannot be judged does.
    unjudged = any(row["verdict"] == "cannot compare" and row["missing"] != "reference" for row in results)
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
        "rows": rows,
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


def _row(name: str, what: str, verdict: str, **more) -> dict:
    return {"name": name, "what": what, **NOTHING, "verdict": verdict, **more}


def _one_sided(there, here) -> dict:
    return {"missing": "reference" if there is None else "now",
            "why": "not in the reference run" if there is None else "not in this run"}  # fmt: skip


def _metric(name: str, record: dict, reference: dict, spread: dict | None) -> dict:
    there, here = reference["metrics"].get(name), record["metrics"].get(name)
    what = "timing" if {m["kind"] for m in (there, here) if m} == {"timing"} else "metric"
    values = {"reference": there and there["final"], "now": here and here["final"]}
    if there is None or here is None:
        return _row(name, what, "cannot compare", **values, **_one_sided(there, here))
    row = {**values, "unit": here["unit"]}
    if there["unit"] != here["unit"] or there["kind"] != here["kind"]:
        why = f"the reference has it in {there['unit']!r}, {there['kind']}"
        return _row(name, what, "cannot compare", **row, why=why)
    if what == "timing":
        return _timing(name, row)
    if there.get("items") and here.get("items") and there["items"] != here["items"]:
        return _row(name, what, "cannot compare", **row, why="other evaluation set")
    if row["now"] == row["reference"]:
        return _row(name, what, "identical", **row, difference=0)
    if not all(isinstance(row[key], (int, float)) for key in ("now", "reference")):
        return _row(name, what, "differs", **row, why="not a number")
    row["difference"] = row["now"] - row["reference"]
    if record["seed"] is None:
        return _without_chance(name, row)
    values = spread["metrics"].get(name) if spread else None
    if values is None or not all(isinstance(v, (int, float)) for v in values):
        return _row(name, what, "cannot compare", **row, why="its spread over seeds was not measured")
    mean, sd = statistics.mean(values), statistics.stdev(values)
    rounding = spread.get("rounding", {}).get("metrics", {}).get(name) or 0.0
    if sd <= ROUNDING * abs(mean):
        if record["seed"] != reference["seed"] and not _within(row["now"], mean, 3 * rounding):
            # Five equal values do not rule out that a sixth seed differs.
            return _row(name, what, "cannot compare", **row, why="all seeds gave one value: no spread to judge by")
        if rounding <= ROUNDING * abs(mean):
            return _without_chance(name, row)
        mean = row["reference"]
    tests = [inference.Deviation(abs(row["now"] - mean), math.hypot(sd, rounding), len(values))]
    return _row(name, what, "", **row, mean=mean, _tests=tests)


def _timing(name: str, row: dict) -> dict:
    if not all(isinstance(row[key], (int, float)) for key in ("reference", "now")) or row["reference"] <= 0:
        return _row(name, "timing", "no ratio", **row)
    ratio = row["now"] / row["reference"]
    verdict = f"within {TIMES:g}x" if 1 / TIMES <= ratio <= TIMES else f"not within {TIMES:g}x"
    return _row(name, "timing", verdict, **row, difference=ratio)


def _within(value: float, other: float, tolerance: float = 0.0) -> bool:
    return math.isclose(value, other, rel_tol=ROUNDING, abs_tol=max(tolerance, 1e-12))


def _without_chance(name: str, row: dict) -> dict:
    """Neither the seed nor a processor has a part in this value: only its last digits may differ."""
    allowed = {"mean": row["reference"], "tolerance": ROUNDING * abs(row["reference"])}
    return _row(name, "metric", "agrees" if _within(row["now"], row["reference"]) else "differs", **row, **allowed)


def _figure(name: str, record: dict, reference: dict, spread: dict | None) -> dict | None:
    there, here = reference["figures"].get(name), record["figures"].get(name)
    kinds = {f["kind"] for f in (there, here) if f}
    if kinds == {"timing"}:
        return None  # its numbers are timings, which the metrics have
    if there is None or here is None:
        return _row(name, "figure", "cannot compare", **_one_sided(there, here))
    if len(kinds) > 1:
        return _row(name, "figure", "cannot compare", why="a timing in one of the two runs")
    try:
        old, new = arrays(reference, name), arrays(record, name)
    except (OSError, ValueError) as error:
        return _row(name, "figure", "cannot compare", why=f"its arrays cannot be read: {type(error).__name__}")
    if old == new:
        return _row(name, "figure", "identical", difference=0)
    was, now = flatten(old), flatten(new)
    if list(old) != list(new) or len(was) != len(now):
        return _row(name, "figure", "differs", why=f"{len(now)} values, the reference has {len(was)}")
    if record["seed"] is None:
        means, sds, n = was, [0.0] * len(was), 0
    elif spread is None or not _fits(known := spread["figures"].get(name), len(now)):
        return _row(name, "figure", "cannot compare", why="its spread over seeds was not measured")
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
                return _row(name, "figure", "cannot compare", why=f"{value} where all seeds gave {mean}")
            return _row(name, "figure", "differs", why=f"{value} where the reference has {was_value}")
    if skipped == len(now):
        return _row(name, "figure", "cannot compare", why="nothing in it can be judged over seeds")
    why = f"{skipped} of {len(now)} values are not judged" if skipped else ""
    if not deviations:
        return _row(name, "figure", "agrees", difference=0.0, why=why)
    # Two views of the same deviations, half of the level each: one value far off, or the whole curve a little.
    rms = math.sqrt(sum(d * d for d in deviations) / len(deviations))
    tests = [inference.Deviation(max(deviations), 1.0, n, len(deviations)), inference.Deviation(rms, 1.0, n)]
    return _row(name, "figure", "", why=why, _tests=tests)


def _fits(known: dict | None, n: int) -> bool:
    return known is not None and len(known["mean"]) == len(known["sd"]) == n


def _judge(rows: list[dict]) -> None:
    """Give the rows that chance has a part in their verdict, all together; drop what was only needed for it."""
    open_rows = [row for row in rows if row["verdict"] == ""]
    tests = [row["_tests"] for row in open_rows]
    levels = inference.holm([min(1.0, len(some) * min(test.p for test in some)) for some in tests])
    for row, some, level in zip(open_rows, tests, levels, strict=True):
        test = min(some, key=lambda test: test.p)
        row["tolerance"] = test.allowed(level / len(some))
        row["verdict"] = "differs" if len(some) * test.p <= level else "agrees"
        if row["what"] == "figure":
            row["difference"] = test.deviation
            row["unit"] = "sd, farthest value" if test is some[0] else "sd, root mean square"
    for row in rows:
        row.pop("_tests", None)
