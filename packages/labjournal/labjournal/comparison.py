"""Two runs, or two recipes with several seeds each: what changed, why, and whether it made a difference.

Only metrics with a direction are judged, and timings never. One run against one is decided by its evaluated items,
or by the spread of the reference's seeds; without either the answer is that nobody can tell.
"""

from __future__ import annotations

import statistics
from dataclasses import dataclass, field

import numpy as np

from . import changes, inference, store
from .agreement import ROUNDING, belongs, comparable
from .markdown import escape, number, table

SEEDS = 5  # in each arm, for a decision between recipes
RESAMPLING_SEED = 0  # fixed: the same two runs give the same interval


@dataclass(frozen=True)
class RunComparison:
    """Arms of one or more runs; each further arm is held against the first."""

    arms: list[list[dict]]
    why_not: str = ""  # the reason when they cannot be compared
    changed: list[dict] = field(default_factory=list)  # per further arm: what differs from the first
    rows: list[dict] = field(default_factory=list)  # per metric and arm

    @property
    def verdict(self) -> str:
        """In one word, over all metrics: better, worse, mixed, identical, cannot tell or not comparable."""
        said = {row["verdict"] for row in self.rows if row["arm"]}
        judged = said & {"better", "worse"}
        if self.why_not or said == {"not comparable"}:
            return "not comparable"
        if judged:
            return "mixed" if len(judged) == 2 else judged.pop()
        return "identical" if said == {"identical"} else "cannot tell"

    def as_dict(self) -> dict:
        return {
            "arms": [[run["run_id"] for run in arm] for arm in self.arms],
            "verdict": self.verdict,
            "why_not": self.why_not,
            "changed": self.changed,
            "rows": self.rows,
        }

    def _repr_markdown_(self) -> str:
        return render(self)


def compare_runs(*runs) -> RunComparison:
    """Hold runs against the first one.

    Args:
        runs: names of runs (any unique part of the id, or "latest"). A list of names is one arm, the seeds of one
            recipe. More than two runs that are not in lists are put into arms by their config.
    Raises:
        JournalError: an unknown or ambiguous name, fewer than two runs, or a run named twice.
    """
    arms = [[store.find(name) for name in ([arm] if isinstance(arm, str) else arm)] for arm in runs]
    everyone = [run for arm in arms for run in arm]
    if len({run["run_id"] for run in everyone}) < len(everyone):
        raise store.JournalError("the same run is named twice; a run cannot be compared with itself")
    if len(runs) > 2 and all(isinstance(name, str) for name in runs):
        recipes: dict[str, list[dict]] = {}
        for run in everyone:
            recipes.setdefault(f"{run['notebook']} {run['profile']} {run['config_hash']}", []).append(run)
        arms = list(recipes.values())
    if len(arms) < 2 or not all(arms):
        raise store.JournalError("compare needs two runs, or two recipes with one run or more each")
    return judge(arms)


def judge(arms: list[list[dict]]) -> RunComparison:
    """The comparison of arms of records; see :func:`compare`."""
    first = arms[0]
    changed = [changes.between(first[0], arm[0]) for arm in arms[1:]]
    for run in [run for arm in arms for run in arm][1:]:
        if why := comparable(first[0], run):
            return RunComparison(arms, why, changed)
    for arm in arms:
        for run in arm[1:]:
            inside = {name: pair for name, pair in changes.between(arm[0], run).items() if name != "seed"}
            if inside:
                return RunComparison(
                    arms, f"the runs of one recipe differ in more than the seed: {changes.describe(inside)}"
                )
    rows = []
    for name in {name: None for arm in arms for run in arm for name in run["metrics"]}:
        found = [run["metrics"].get(name) for arm in arms for run in arm]
        if any(metric and metric["better"] and metric["kind"] == "result" for metric in found):
            rows += _rows(name, arms)
    if not rows:
        return RunComparison(arms, "they have no result that is better higher or lower; times are not judged", changed)
    _correct(rows, first[0]["metrics"])
    return RunComparison(arms, "", changed, rows)


def _rows(name: str, arms: list[list[dict]]) -> list[dict]:
    """One row per arm; the further ones with what they are against the first."""
    rows, values = [], []
    for position, arm in enumerate(arms):
        metrics = [run["metrics"].get(name) for run in arm]
        own = [metric["final"] for metric in metrics if metric and isinstance(metric["final"], (int, float))]
        values.append(own)
        row = {
            "metric": name, "arm": position, "n": len(own), "mean": statistics.mean(own) if own else None,
            "sd": statistics.stdev(own) if len(own) > 1 else None, "range": [min(own), max(own)] if own else None,
            "difference": None, "interval": None, "p": None, "test": "", "verdict": "", "why": "",
        }  # fmt: skip
        rows.append(row)
        if position == 0:
            continue
        why = _not_judged(name, [*arms[0], *arm])
        if why:
            row.update(verdict="not comparable", why=why)
        else:
            row.update(verdict="cannot tell", difference=row["mean"] - statistics.mean(values[0]))
            _decide(row, name, arms[0], arm, values[0], own)
    return rows


def _not_judged(name: str, runs: list[dict]) -> str:
    """Why a metric of these runs cannot be compared; "" when it can."""
    metrics = [run["metrics"].get(name) for run in runs]
    for run, metric in zip(runs, metrics, strict=True):
        if metric is None:
            return f"not in run {run['run_id']}"
        if not isinstance(metric["final"], (int, float)):
            return f"{metric['final']} in run {run['run_id']}"
    for key, what in (("unit", "unit"), ("better", "direction"), ("kind", "kind"), ("items", "evaluation set")):
        if len({metric.get(key) for metric in metrics} - ({None} if key == "items" else set())) > 1:
            return f"other {what}"
    return ""


def _decide(row: dict, name: str, first: list[dict], second: list[dict], old: list[float], new: list[float]) -> None:
    """Fill in interval, p and test, or say why nobody can tell."""
    if len(first) == len(second) == 1:
        return _one_against_one(row, name, first[0], second[0])
    seeds = [{run["seed"] for run in arm} - {None} for arm in (first, second)]
    counts = [len(seeds[0]), len(seeds[1])]
    if min(counts) < SEEDS:
        row["why"] = f"too few seeds: {counts[0]} against {counts[1]}, {SEEDS} different ones each are needed"
    elif counts != [len(first), len(second)]:
        row["why"] = "a seed stands twice in one recipe: its runs are not independent"
    elif max(row["sd"], statistics.stdev(old)) <= ROUNDING * abs(row["mean"]):
        row["why"] = "no spread over seeds to judge by"
    else:
        paired = seeds[0] == seeds[1]
        if paired:
            old, new = (
                [value for _, value in sorted(zip([run["seed"] for run in arm], values, strict=True))]
                for arm, values in ((first, old), (second, new))
            )
        low, high, p = inference.mean_difference(old, new, paired)
        row.update(
            interval=[low, high], p=p, test="paired t test over seeds" if paired else "Welch's t test over seeds"
        )
    return None


def _one_against_one(row: dict, name: str, first: dict, second: dict) -> None:
    items = [store.items(run, name) for run in (first, second)]
    # The difference of a whole number beyond 2**53 and a float can be 0 all the same.
    if first["metrics"][name]["final"] == second["metrics"][name]["final"] and (None in items or items[0] == items[1]):
        row["verdict"] = "identical"
    elif all(scores is not None for scores in items):
        old, new = (np.asarray(scores, float) for scores in items)
        low, high = inference.bootstrap_mean(new - old, RESAMPLING_SEED)
        if set(np.unique([old, new])) <= {0.0, 1.0}:
            p, test = inference.mcnemar(int((old > new).sum()), int((new > old).sum())), "exact McNemar"
        else:
            p, test = inference.paired_permutation(old, new, RESAMPLING_SEED), "paired permutation"
        row.update(interval=[low, high], p=p, test=f"{test}, {len(old)} items", why="speaks for these two runs")
    else:
        _by_reference_spread(row, name, first)


def _by_reference_spread(row: dict, name: str, first: dict) -> None:
    """Two single runs differ by sqrt(2) sd, and the sd is known from the reference's seeds only."""
    spread = store.spread(first["notebook"], first["profile"])
    known = spread["metrics"].get(name) if spread and belongs(spread, first) else None
    if known is None or not all(isinstance(value, (int, float)) for value in known):
        row["why"] = "one run each, and no spread over seeds or items to judge by"
        return
    sd, n = statistics.stdev(known), len(known)
    if sd <= ROUNDING * abs(statistics.mean(known)):
        row["why"] = "all seeds of the reference gave the same value: no spread to judge by"
        return
    test = inference.Deviation(abs(row["difference"]), sd * 2**0.5 / (1 + 1 / n) ** 0.5, n)  # its scale is sd sqrt(2)
    half = test.allowed()
    row.update(
        interval=[row["difference"] - half, row["difference"] + half],
        p=test.p,
        test=f"spread of the reference's {n} seeds",
        why="if both spread like the reference",
    )


def _correct(rows: list[dict], metrics: dict) -> None:
    """better or worse only where Holm's correction over everything that was tested lets it stand."""
    tested = [row for row in rows if row["p"] is not None]
    for row, level in zip(tested, inference.holm([row["p"] for row in tested]), strict=True):
        if row["p"] <= level:
            fell = row["difference"] < 0
            row["verdict"] = "better" if fell == (metrics[row["metric"]]["better"] == "lower") else "worse"


def render(found: RunComparison) -> str:
    """The comparison as Markdown: what changed and why, then a table, then the verdict."""
    parts = []
    for position, arm in enumerate(found.arms):
        letter, seeds = chr(65 + position), ", ".join(str(run["seed"]) for run in arm)
        parts.append(f"**{letter}** {escape(', '.join(run['run_id'] for run in arm))} (seed {escape(seeds)})\n")
        if position and found.changed:
            parts.append(f"Different from A: {escape(changes.describe(found.changed[position - 1])) or 'nothing'}\n")
            if arm[0]["changed_from"] in [run["run_id"] for run in found.arms[0]]:
                parts.append(f"Why: {escape(arm[0]['reason'])}\n")
    if found.why_not:
        return "\n".join([*parts, f"**Not comparable:** {escape(found.why_not)}.\n"])
    pair = [len(arm) for arm in found.arms] == [1, 1]
    twos = zip(found.rows[::2], found.rows[1::2], strict=True) if pair else ()
    rows = [[a["metric"], a["mean"], b["mean"], *_judged(b)] for a, b in twos] or [
        _seeds_row(row) for row in found.rows
    ]
    headers = ["metric", "A", "B"] if pair else ["metric", "", "n", "mean", "sd", "range"]
    tests = sorted({row["test"] for row in found.rows if row["test"]})
    if tests:
        count = sum(row["p"] is not None for row in found.rows)
        parts.append(f"Test: {escape('; '.join(tests))}. Holm's correction over {count} tests.\n")
    headers += ["difference", "95 % interval (alone)", "p", "verdict"]
    used = [any(row[i] not in ("", None) for row in rows) for i in range(len(headers))]
    rows = [[cell for cell, use in zip(row, used, strict=True) if use] for row in rows]
    parts.append(table(rows, [header for header, use in zip(headers, used, strict=True) if use]))
    reasons: dict[str, list[str]] = {}
    for row in found.rows:
        if row["why"]:
            reasons.setdefault(f"{row['verdict']}, {row['why']}", []).append(row["metric"])
    parts += [f"{escape(reason)}: {escape(', '.join(names), 500)}.\n" for reason, names in reasons.items()]
    return "\n".join([*parts, f"**Verdict: {_verdict(found)}.**\n"])


def _verdict(found: RunComparison) -> str:
    """The verdict with the metrics it rests on: one better metric of ten is not a better model."""
    named = []
    for word in ("better", "worse"):
        names = {row["metric"]: None for row in found.rows if row["verdict"] == word}
        named += [f"{word} on {escape(', '.join(names), 500)}"] if names else []
    others = {row["metric"] for row in found.rows if row["verdict"] in ("cannot tell", "identical", "not comparable")}
    return (
        "; ".join([*named, f"no more can be told of {len(others)} others"] if others else named)
        if named
        else found.verdict
    )


def _seeds_row(row: dict) -> list:
    low, high = (number(value) for value in row["range"] or (None, None))
    reach = low if low == high else f"{low} to {high}"
    return [row["metric"], chr(65 + row["arm"]), row["n"], number(row["mean"]), number(row["sd"]), reach, *_judged(row)]


def _judged(row: dict) -> list:
    interval = " to ".join(f"{value:+.3g}" for value in row["interval"] or ())
    difference = "" if row["difference"] is None else f"{row['difference']:+.3g}" if row["difference"] else "0"
    return [difference, interval, "" if row["p"] is None else f"{row['p']:.2g}", row["verdict"]]
