"""Does a run agree with its reference? Judged on every result and on the arrays of every figure.

A value that is not identical is held against the 95 % prediction interval of the reference's seeds, with Holm's
correction over the notebook: when nothing changed but the seed, at most one notebook in twenty is said to differ.
"""

from __future__ import annotations

from .. import stats
from ..paths import read_json
from . import changes
from .record import folder_of

ROUNDING = 1e-6  # relative; where nothing is left to chance, another machine's rounding is all that may differ
ONE_SIDED = ("not in the reference run", "not in this run")
TIMES = 2.0  # timings are never judged more finely than this


def agree(record: dict, reference: dict, spread: dict | None) -> dict:
    """The verdict on `record`, with one row for each metric and figure of the two runs.

    Args:
        spread: of the reference's seeds; None when it was not measured, then only identical values agree.
    Returns:
        ``verdict`` (identical | agrees | differs | cannot compare), ``why``, ``agree`` and ``of`` (results that are
        identical or agree, of all), ``rows`` (name, what, reference, now, difference, tolerance, verdict), and
        ``since``: what differs between the two runs.
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
    results = [row["verdict"] for row in rows if row["what"] != "timing"]
    good = sum(verdict in ("identical", "agrees") for verdict in results)
    # A result that only one of the runs has says nothing about the others; one that cannot be judged does.
    unjudged = any(row["verdict"] == "cannot compare" and row["why"] not in ONE_SIDED for row in rows)
    if "differs" in results and not barrier:
        verdict = "differs"
    elif barrier or unjudged or not good:
        verdict = "cannot compare"
    else:
        verdict = "identical" if set(results) == {"identical"} else "agrees"
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


def same_items(old: dict, new: dict, metric: str) -> bool:
    """Whether a metric was evaluated on the same items in both runs, as far as they say on which."""
    here, there = (record["metrics"][metric].get("items") for record in (old, new))
    return here is None or there is None or here == there


def arrays(record: dict, figure: str) -> dict:
    return read_json(folder_of(record) / "figures" / f"{figure}.json")["data"]


def flatten(value) -> list:
    """Numbers and texts of a plotted array, whatever its shape."""
    if isinstance(value, dict):
        value = list(value.values())
    return [leaf for item in value for leaf in flatten(item)] if isinstance(value, list) else [value]


def belongs(spread: dict, reference: dict) -> bool:
    """Whether a spread over seeds was measured with the reference's config and data."""
    return all(spread[name] == reference[name] for name in ("notebook", "profile", "config_hash", "data_hash"))


def _row(name: str, what: str, verdict: str, **more) -> dict:
    row = {"name": name, "what": what, "reference": None, "now": None, "difference": None, "tolerance": None}
    return {**row, "verdict": verdict, "why": "", **more}


def _metric(name: str, record: dict, reference: dict, spread: dict | None) -> dict:
    there, here = reference["metrics"].get(name), record["metrics"].get(name)
    what = "timing" if "timing" in (m["kind"] for m in (there, here) if m) else "metric"
    if there is None or here is None:
        why = ONE_SIDED[there is not None]
        return _row(
            name, what, "cannot compare", now=here and here["final"], reference=there and there["final"], why=why
        )
    row = {"reference": there["final"], "now": here["final"], "unit": here["unit"]}
    if there["unit"] != here["unit"] or there["kind"] != here["kind"]:
        return _row(
            name, what, "cannot compare", **row, why=f"the reference has it in {there['unit']!r}, {there['kind']}"
        )
    if what == "timing":
        return _timing(name, row)
    if not same_items(reference, record, name):
        return _row(name, what, "cannot compare", **row, why="other evaluation set")
    if row["now"] == row["reference"]:
        return _row(name, what, "identical", **row, difference=0)
    if not all(isinstance(row[key], (int, float)) for key in ("now", "reference")):
        return _row(name, what, "differs", **row, why="not a number")
    if record["seed"] is None:
        return _exact(name, row)
    values = spread["metrics"].get(name) if spread else None
    if values is None or not all(isinstance(v, (int, float)) for v in values):
        return _row(name, what, "cannot compare", **row, why="its spread over seeds was not measured")
    mean = sum(values) / len(values)
    sd = (sum((v - mean) ** 2 for v in values) / (len(values) - 1)) ** 0.5
    row["reference"] = mean
    if sd <= ROUNDING * abs(mean):
        return _exact(name, row)
    deviation = row["now"] - mean
    p = stats.prediction_p(abs(deviation), sd, len(values))
    return _row(name, what, "", **row, difference=deviation, _p=p, _sd=sd, _n=len(values), _values=1)


def _timing(name: str, row: dict) -> dict:
    if not (
        isinstance(row["reference"], (int, float)) and isinstance(row["now"], (int, float)) and row["reference"] > 0
    ):
        return _row(name, "timing", "no ratio", **row)
    ratio = row["now"] / row["reference"]
    verdict = f"within {TIMES:g}x" if 1 / TIMES <= ratio <= TIMES else f"not within {TIMES:g}x"
    return _row(name, "timing", verdict, **row, difference=ratio)


def _exact(name: str, row: dict) -> dict:
    """Nothing is left to chance here, so only rounding may differ."""
    tolerance = ROUNDING * abs(row["reference"])
    difference = row["now"] - row["reference"]
    verdict = "agrees" if abs(difference) <= tolerance else "differs"
    return _row(name, "metric", verdict, **row, difference=difference, tolerance=tolerance)


def _figure(name: str, record: dict, reference: dict, spread: dict | None) -> dict | None:
    there, here = reference["figures"].get(name), record["figures"].get(name)
    if "timing" in (f["kind"] for f in (there, here) if f):
        return None  # its numbers are timings, which the metrics have
    if there is None or here is None:
        why = ONE_SIDED[there is not None]
        return _row(name, "figure", "cannot compare", why=why)
    old, new = arrays(reference, name), arrays(record, name)
    if old == new:
        return _row(name, "figure", "identical", difference=0)
    was, now = flatten(old), flatten(new)
    if list(old) != list(new) or len(was) != len(now):
        return _row(name, "figure", "differs", why=f"{len(now)} values, the reference has {len(was)}")
    if record["seed"] is None:
        means, sds, n = was, [0.0] * len(was), 0
    elif spread is None or (known := spread["figures"].get(name)) is None or len(known["mean"]) != len(now):
        return _row(name, "figure", "cannot compare", why="its spread over seeds was not measured")
    else:
        means, sds, n = known["mean"], known["sd"], len(spread["seeds"])
    farthest, free = 0.0, 0
    for value, mean, sd in zip(now, means, sds, strict=True):
        if sd is None:  # a text, or no number, that differs from seed to seed: it says nothing
            continue
        if isinstance(mean, str) or isinstance(value, str) or value is None or mean is None:
            if value != mean:
                return _row(name, "figure", "differs", why=f"{value!r} where the reference has {mean!r}")
        elif sd <= ROUNDING * abs(mean):
            if abs(value - mean) > ROUNDING * max(abs(mean), abs(value)):
                return _row(name, "figure", "differs", why=f"{value:g} where every seed of the reference has {mean:g}")
        else:
            free += 1
            farthest = max(farthest, abs(value - mean) / sd)
    if not free:
        return _row(name, "figure", "agrees", difference=0.0)
    p = stats.prediction_p(farthest, 1.0, n, free)
    return _row(name, "figure", "", unit="sd", difference=farthest, _p=p, _sd=1.0, _n=n, _values=free)


def _judge(rows: list[dict]) -> None:
    """Give the rows that chance has a part in their verdict, all together; drop what was only needed for it."""
    open_rows = [row for row in rows if row["verdict"] == ""]
    levels = stats.holm([row["_p"] for row in open_rows])
    for row, level in zip(open_rows, levels, strict=True):
        row["tolerance"] = stats.prediction_half_width(row["_sd"], row["_n"], level, row["_values"])
        row["verdict"] = "differs" if row["_p"] <= level else "agrees"
    for row in rows:
        for key in [key for key in row if key.startswith("_")]:
            del row[key]
