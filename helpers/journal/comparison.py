"""Two runs, or two recipes with several seeds each: what changed, why, and whether it made a difference.

Only metrics with a direction are judged, and timings never. One run against one is decided by its evaluated items,
or by the spread of the reference's seeds; without either the answer is that nobody can tell.
"""

from __future__ import annotations

import statistics
from dataclasses import dataclass, field

import numpy as np

from .. import stats
from ..paths import read_json
from . import changes
from . import record as store
from .agreement import comparable, same_items
from .render import escape, number, table

SEEDS = 5  # in each arm, for a decision between recipes
RESAMPLING_SEED = 0  # fixed: the same two runs give the same interval


@dataclass(frozen=True)
class Comparison:
    """Arms of one or more runs; each further arm is held against the first."""

    arms: list[list[dict]]
    why_not: str = ""  # the reason when they cannot be compared
    changed: list[dict] = field(default_factory=list)  # per further arm: what differs from the first
    rows: list[dict] = field(default_factory=list)

    @property
    def verdict(self) -> str:
        """better, worse, mixed, identical, cannot tell or not comparable, over all metrics."""
        if self.why_not:
            return "not comparable"
        said = {row["verdict"] for row in self.rows} & {"better", "worse"}
        if said:
            return "mixed" if len(said) == 2 else said.pop()
        judged = [row["verdict"] for row in self.rows if row["arm"]]
        return "identical" if judged and set(judged) == {"identical"} else "cannot tell"

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


def compare(*runs) -> Comparison:
    """Hold runs against the first one.

    Args:
        runs: names of runs (any unique part of the id, or "latest"). A list of names is one arm, the seeds of one
            recipe. More than two runs that are not in lists are put into arms by their config.
    Raises:
        JournalError: an unknown or ambiguous name, or fewer than two runs.
    """
    arms = [[store.find(name) for name in ([arm] if isinstance(arm, str) else arm)] for arm in runs]
    if len(arms) > 2 and all(len(arm) == 1 for arm in arms):
        recipes: dict[str, list[dict]] = {}
        for (run,) in arms:
            recipes.setdefault(f"{run['notebook']} {run['profile']} {run['config_hash']}", []).append(run)
        arms = list(recipes.values())
    everyone = [run for arm in arms for run in arm]
    if len(everyone) < 2:
        raise store.JournalError("compare needs two runs or more, or lists of them")
    if len({run["run_id"] for run in everyone}) < len(everyone):
        raise store.JournalError("the same run is named twice; a run cannot be compared with itself")
    return judge(arms)


def judge(arms: list[list[dict]]) -> Comparison:
    """The comparison of arms of records; see :func:`compare`."""
    first = arms[0]
    changed = [changes.between(first[0], arm[0]) for arm in arms[1:]]
    for run in [run for arm in arms for run in arm][1:]:
        if why := comparable(first[0], run):
            return Comparison(arms, why, changed)
    rows = []
    for name, metric in first[0]["metrics"].items():
        shared = all(name in run["metrics"] for arm in arms for run in arm)
        if shared and metric["better"] and metric["kind"] == "result":
            values = [[run["metrics"][name]["final"] for run in arm] for arm in arms]
            if all(isinstance(value, (int, float)) for arm in values for value in arm):
                rows += _rows(name, arms, values)
    _correct(rows, first[0]["metrics"])
    return Comparison(arms, "", changed, rows)


def _rows(name: str, arms: list[list[dict]], values: list[list[float]]) -> list[dict]:
    rows = []
    for position, (arm, own) in enumerate(zip(arms, values, strict=True)):
        row = {
            "metric": name, "arm": position, "n": len(own), "mean": statistics.mean(own),
            "sd": statistics.stdev(own) if len(own) > 1 else None, "range": [min(own), max(own)],
            "difference": None, "interval": None, "p": None, "test": "", "verdict": "", "why": "",
        }  # fmt: skip
        if position:
            row["difference"] = row["mean"] - statistics.mean(values[0])
            _decide(row, name, arms[0], arm, values[0], own)
        rows.append(row)
    return rows


def _decide(row: dict, name: str, first: list[dict], second: list[dict], old: list[float], new: list[float]) -> None:
    """Fill in interval, p and test, or say why nobody can tell."""
    row["verdict"] = "cannot tell"
    if not all(same_items(first[0], run, name) for run in (*first, *second)):
        row.update(verdict="not comparable", why="other evaluation set")
    elif len(first) == len(second) == 1 and old == new:
        row["verdict"] = "identical"
    elif len(first) == len(second) == 1:
        _one_against_one(row, name, first[0], second[0])
    elif min(len(first), len(second)) < SEEDS:
        row["why"] = f"too few seeds: {len(first)} against {len(second)}, {SEEDS} each are needed"
    else:
        by_seed = [
            {run["seed"]: value for run, value in zip(*arm, strict=True)} for arm in ((first, old), (second, new))
        ]
        paired = by_seed[0].keys() == by_seed[1].keys() and len(by_seed[0]) == len(first) == len(second)
        if paired:
            old, new = ([arm[seed] for seed in sorted(by_seed[0])] for arm in by_seed)
        low, high, p = stats.mean_difference(old, new, paired)
        test = "paired t test over seeds" if paired else "Welch's t test over seeds"
        row.update(interval=[low, high], p=p, test=test)


def _one_against_one(row: dict, name: str, first: dict, second: dict) -> None:
    items = [_items(run, name) for run in (first, second)]
    if all(scores is not None for scores in items):
        old, new = (np.asarray(scores, float) for scores in items)
        low, high = stats.bootstrap_mean(new - old, RESAMPLING_SEED)
        if set(np.unique([old, new])) <= {0.0, 1.0}:
            p, test = stats.mcnemar(int((old > new).sum()), int((new > old).sum())), "exact McNemar"
        else:
            p, test = stats.paired_permutation(old, new, RESAMPLING_SEED), "paired permutation"
        row.update(interval=[low, high], p=p, test=f"{test}, {len(old)} items", why="speaks for these two runs")
        return
    spread = store.spread(first["notebook"], first["profile"])
    known = spread["metrics"].get(name) if spread and spread["data_hash"] == first["data_hash"] else None
    if known is None:
        row["why"] = "one run each, and no spread over seeds or items to judge by"
        return
    sd, n = statistics.stdev(known), len(known)
    if sd == 0:
        row["why"] = "all seeds of the reference gave the same value: no spread to judge by"
        return
    # Two single runs differ by sqrt(2) sd; the spread itself is known from n seeds only.
    wide = sd * 2**0.5 / (1 + 1 / n) ** 0.5
    half = stats.prediction_half_width(wide, n)
    row.update(
        interval=[row["difference"] - half, row["difference"] + half],
        p=stats.prediction_p(abs(row["difference"]), wide, n),
        test=f"spread of the reference's {n} seeds",
        why="if both spread like the reference",
    )


def _items(run: dict, name: str) -> list | None:
    path = store.folder_of(run) / "items" / f"{name}.json"
    return read_json(path)["values"] if path.is_file() else None


def _correct(rows: list[dict], metrics: dict) -> None:
    """better or worse only where Holm's correction over everything that was tested lets it stand."""
    tested = [row for row in rows if row["p"] is not None]
    for row, level in zip(tested, stats.holm([row["p"] for row in tested]), strict=True):
        if row["p"] <= level:
            fell = row["difference"] < 0
            row["verdict"] = "better" if fell == (metrics[row["metric"]]["better"] == "lower") else "worse"


def render(found: Comparison) -> str:
    """The comparison as Markdown: what changed and why, then a table."""
    parts = []
    for position, arm in enumerate(found.arms):
        letter, seeds = chr(65 + position), ", ".join(str(run["seed"]) for run in arm)
        parts.append(f"**{letter}** {escape(', '.join(run['run_id'] for run in arm))} (seed {escape(seeds)})\n")
        if position:
            parts.append(f"Different from A: {escape(changes.describe(found.changed[position - 1])) or 'nothing'}\n")
            if arm[0]["changed_from"] in [run["run_id"] for run in found.arms[0]]:
                parts.append(f"Changed: {escape(arm[0]['change'])}. Why: {escape(arm[0]['reason'])}\n")
    if found.why_not:
        return "\n".join([*parts, f"**Not comparable:** {escape(found.why_not)}.\n"])
    pair = [len(arm) for arm in found.arms] == [1, 1]
    rows = [_pair_row(*both) for both in _in_twos(found.rows)] if pair else [_seeds_row(row) for row in found.rows]
    headers = ["metric", "A", "B"] if pair else ["metric", "", "n", "mean", "sd", "range"]
    reasons: dict[str, list[str]] = {}
    for row in found.rows:
        if row["why"]:
            reasons.setdefault(f"{row['verdict']}, {row['why']}", []).append(row["metric"])
    notes = [f"{escape(reason)}: {escape(', '.join(names), 500)}.\n" for reason, names in reasons.items()]
    tests = sorted({row["test"] for row in found.rows if row["test"]})
    if tests:
        count = sum(row["p"] is not None for row in found.rows)
        parts.append(f"Test: {escape('; '.join(tests))}. Holm's correction over {count} tests.\n")
    headers += ["difference", "95 % interval", "p", "verdict"]
    return "\n".join([*parts, table(rows, headers), *notes, f"**Verdict: {found.verdict}.**\n"])


def _in_twos(rows: list[dict]) -> list[tuple[dict, dict]]:
    """(row of A, row of B) per metric, for one run against one."""
    return list(zip(rows[::2], rows[1::2], strict=True))


def _pair_row(first: dict, second: dict) -> list:
    return [first["metric"], first["mean"], second["mean"], *_judged(second)]


def _seeds_row(row: dict) -> list:
    low, high = (number(value) for value in row["range"])
    reach = low if low == high else f"{low} to {high}"
    spread = [row["n"], row["mean"], "–" if row["sd"] is None else row["sd"], reach]
    return [row["metric"], chr(65 + row["arm"]), *spread, *_judged(row)]


def _judged(row: dict) -> list:
    interval = " to ".join(f"{value:+.3g}" for value in row["interval"] or ())
    difference = "" if row["difference"] is None else f"{row['difference']:+.3g}"
    return [difference, interval, "" if row["p"] is None else f"{row['p']:.2g}", row["verdict"]]
