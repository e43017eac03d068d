"""How far apart are runs of a notebook that differ in nothing but the seed?

Runs a notebook with five seeds, each in a workspace of its own that has the artifacts of this one, and keeps what came
out in journal/spread/<notebook>-<profile>.json: every value of every metric, mean and standard deviation of every
plotted number. Re-running the notebook is judged by it (helpers/journal/agreement.py).
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from helpers import course, journal, paths, profile
from helpers.journal import agreement
from helpers.journal import record as store
from helpers.journal.markdown import number

MORE_SEEDS = (1, 2, 3, 4)  # beside the notebook's own
SAME = ("config_hash", "data_hash", "code_hash")  # what all seeds must share


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="make bench ARGS='spread …'", description=__doc__.splitlines()[0])
    parser.add_argument("notebook", help="number or name, such as 03")
    parser.add_argument("--profile", help="smoke, laptop or gpu (default: PROFILE, else laptop)")
    parser.add_argument("--seeds", type=int, nargs="+", default=MORE_SEEDS, help="beside the notebook's own")
    options = parser.parse_args(arguments)
    try:
        notebook = course.notebook(options.notebook)
        os.environ["PROFILE"] = profile.load(options.profile).name
        missing = [
            name
            for need in notebook.needs
            for name in course.notebook(need).makes
            if not paths.artifacts(name).exists()
        ]
        if missing:
            raise ValueError(f"artifacts/{missing[0]} is not there: run the notebooks before {notebook.number} first")
    except ValueError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    measure(notebook, options.seeds)
    return 0


def measure(notebook: course.Notebook, more_seeds) -> None:
    profile_name = os.environ["PROFILE"]
    run = journal.start("bench_spread", config={"notebook": notebook.name, "profile": profile_name})
    run.log(seeds=len(more_seeds) + 1, unit="")
    records, figures = [], []
    for seed in (*more_seeds, None):  # None: the notebook's own
        record, plotted = (seed is None and reference_like(notebook, records[0])) or one(notebook, seed)
        if why := refused(record, records):
            run.close("failed", ValueError(f"{notebook.name}: {why}"))
            raise SystemExit(f"error: {notebook.name}: {why}")
        print(f"{notebook.name}, seed {record['seed']}: {record['seconds']:.0f} s", flush=True)
        records.append(record)
        figures.append(plotted)
    first = records[0]
    facts = ("run_id", "dirty", "notebook", "profile", *SAME, "commit", "device", "numerics", "threads")
    spread = {
        "format": store.FORMAT,
        **{name: first[name] for name in facts},
        "seeds": [record["seed"] for record in records],
        "metrics": {
            name: [record["metrics"][name]["final"] for record in records]
            for name, metric in first["metrics"].items()
            if metric["kind"] == "result"
        },
        "figures": {
            name: array_spread([plotted[name] for plotted in figures])
            for name in figures[0]
            # A curve whose length depends on the seed has no spread; re-runs are told that it was not measured.
            if len({len(plotted.get(name, ())) for plotted in figures}) == 1
        },
    }
    paths.write_json(paths.journal_dir() / "spread" / f"{notebook.name}-{profile_name}.json", spread)
    for name in notebook.headline:
        values = spread["metrics"].get(name)
        if values and all(isinstance(value, (int, float)) for value in values):
            unit = first["metrics"][name]["unit"]
            run.log(**{f"{name}_mean": statistics.mean(values), f"{name}_sd": statistics.stdev(values)}, unit=unit)
            run.note(f"{name.replace('_', ' ')}, seed by seed: {', '.join(map(number, values))}.")
    for name, values in spread["metrics"].items():
        if name not in notebook.headline and len(set(values)) > 1 and all(isinstance(v, (int, float)) for v in values):
            run.note(f"{name.replace('_', ' ')}: mean {number(statistics.mean(values))}, "
                     f"sd {number(statistics.stdev(values))}.")  # fmt: skip
    run.finish(
        verdict="{notebook}, {profile} profile: the spread of {n} seeds is kept for every metric and figure.",
        decision="What varies with the seed is judged by its 95 % prediction interval; what came out equal in all of "
        "them only when the seed is the same.",
        notebook=notebook.name, profile=profile_name, n=len(records),
    )  # fmt: skip


def refused(record: dict, records: list[dict]) -> str:
    """Why a run cannot be one of these seeds; "" when it can."""
    if record["seed"] is None:
        return "it uses no seed, its results are the same at every run"
    if record["seed"] in [other["seed"] for other in records]:
        return f"seed {record['seed']} stands twice in --seeds, or is the notebook's own"
    different = [name for name in SAME if records and record[name] != records[0][name]]
    return f"{', '.join(different)} changed while this ran" if different else ""


def reference_like(notebook: course.Notebook, like: dict) -> tuple[dict, dict] | None:
    """The reference run, when it is what a run with the notebook's own seed would be: it need not be run again."""
    record = store.reference(notebook.name, like["profile"])
    if record is None or any(record[name] != like[name] for name in (*SAME, "device", "numerics", "threads")):
        return None
    plotted = {name: agreement.arrays(record, name) for name, f in record["figures"].items() if f["kind"] == "result"}
    return record, {name: agreement.flatten(data) for name, data in plotted.items()}


def one(notebook: course.Notebook, seed: int | None) -> tuple[dict, dict]:
    """The record of one run in a workspace of its own, and its figures' arrays, flattened."""
    with tempfile.TemporaryDirectory(prefix="spread-") as folder:
        for name in {name for need in notebook.needs for name in course.notebook(need).makes}:
            copy = Path(folder) / "artifacts" / name
            copy.parent.mkdir(parents=True, exist_ok=True)
            made = paths.artifacts(name)
            (shutil.copytree if made.is_dir() else shutil.copy)(made, copy)
        environment = {**os.environ, "LAB_WORKSPACE": folder}
        environment.pop("SEED", None)
        if seed is not None:
            environment["SEED"] = str(seed)
        command = [sys.executable, "-m", "helpers.run", "--only", notebook.number]
        done = subprocess.run(command, cwd=paths.ROOT, env=environment, capture_output=True, text=True, check=False)
        if done.returncode:
            raise SystemExit(f"{notebook.name} failed with seed {seed}:\n{done.stdout}{done.stderr}")
        (path,) = Path(folder).glob("journal/runs/*/run.json")
        sidecars = {p.stem: paths.read_json(p) for p in path.parent.glob("figures/*.json")}
        plotted = {name: s["data"] for name, s in sidecars.items() if s["kind"] == "result"}
        return paths.read_json(path), {name: agreement.flatten(data) for name, data in plotted.items()}


def array_spread(runs: list[list]) -> dict:
    """Mean and standard deviation of each plotted value over the seeds.

    A text has no mean: it is kept with sd 0 where all seeds have the same, else sd is null and it is not judged.
    """
    means, sds = [], []
    for values in zip(*runs, strict=True):
        if all(isinstance(v, (int, float)) for v in values):
            mean, sd = statistics.mean(values), statistics.stdev(values)
            # Nine digits: the file stays readable, and rounding is judged at six.
            means.append(float(f"{mean:.9g}"))
            sds.append(float(f"{sd:.9g}"))
        else:
            same = all(v == values[0] for v in values)
            means.append(values[0])
            sds.append(0.0 if same else None)
    return {"mean": means, "sd": sds}
