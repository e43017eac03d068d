"""How far apart are runs of a notebook that differ in nothing but the seed, or in nothing but the processor?

Runs a notebook with five seeds. How far rounding carries is taken from the journal's runs of the same recipe and seed
on other processors; where there are fewer than two, the notebook is run again with fewer instruction sets and in the
other number format. Each run has a workspace of its own below artifacts/spread/, with a copy of what the notebook
needs; one that is there already and would come out the same is not run again, so an interrupted measurement goes on
where it was. What came out is kept in journal/spread/<notebook>-<profile>.json: every value of every metric, mean and
standard deviation of every plotted number, and the numerical tolerance of each. Re-running the notebook is judged by it
(labjournal/agreement.py).
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import subprocess
import sys
from pathlib import Path

from helpers import course, journal, paths, profile
from labjournal import agreement, changes, store
from labjournal.markdown import number

from . import BENCHMARKS

MORE_SEEDS = 4  # beside the notebook's own: the first that are not it
SAME = ("config_hash", "data_hash", "code_hash")  # what all runs must share
RECIPE = ("notebook", "profile", "seed", "config_hash", "data_hash", "cells_hash")  # what a run elsewhere must share
# Variables that PyTorch, oneDNN, MKL and OpenBLAS document; one that a machine does not know changes nothing there.
AVX2 = {"ATEN_CPU_CAPABILITY": "avx2", "ONEDNN_MAX_CPU_ISA": "AVX2", "MKL_ENABLE_INSTRUCTIONS": "AVX2",
        "OPENBLAS_CORETYPE": "Haswell"}  # fmt: skip
IMITATED = {"avx2": AVX2, "other_format": {}}
PROCESSORS = 2  # beside the one that measures
# What a processor without the newer instructions computes in: with bfloat16 it would take fifty times as long.
FORMATS = {"avx2": {}, "other_format": {"float32": "bfloat16"}}  # by the format that the machine chose, else float32


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="make bench ARGS='spread …'", description=__doc__.splitlines()[0])
    parser.add_argument("notebook", help="number or name, such as 03")
    parser.add_argument("--profile", help="smoke, laptop or gpu (default: PROFILE, else laptop)")
    parser.add_argument("--seeds", type=int, nargs="+", help="beside the notebook's own (default: the first four)")
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


def measure(notebook: course.Notebook, more_seeds: list[int] | None) -> None:
    profile_name = os.environ["PROFILE"]
    run = journal.start(BENCHMARKS["spread"], config={"notebook": notebook.name, "profile": profile_name})
    own = one(run, notebook, "own", {})
    more_seeds = more_seeds or [seed for seed in range(1, MORE_SEEDS + 2) if seed != own[0]["seed"]][:MORE_SEEDS]
    run.log(seeds=len(more_seeds) + 1, unit="")
    seeds = [one(run, notebook, f"seed-{seed}", {"SEED": str(seed)}) for seed in more_seeds]
    others = elsewhere(own[0])
    for name in list(IMITATED)[: max(0, PROCESSORS - len({changes.processor(record) for record, _ in others}))]:
        others.append(one(run, notebook, name, IMITATED[name]))
    run.log(other_processors=len(others), unit="")
    records = [record for record, _ in (*seeds, own)]
    for position, record in enumerate(records):
        if why := refused(record, records[:position]):
            run.close("failed", ValueError(f"{notebook.name}: {why}"))
            raise SystemExit(f"error: {notebook.name}: {why}")
    first, figures = records[0], [plotted for _, plotted in (*seeds, own)]
    facts = ("run_id", "dirty", "notebook", "profile", *SAME, "commit", "device", "numerics", "threads")
    spread = {
        "format": store.FORMAT,
        **{name: first[name] for name in facts},
        "processor": first["resources"]["processor"],
        "seeds": [record["seed"] for record in records],
        "metrics": {
            name: [record["metrics"][name]["final"] for record in records]
            for name, metric in first["metrics"].items()
            # What not every seed logs has no spread either: a number that is only told where it can be told.
            if metric["kind"] == "result" and all(name in record["metrics"] for record in records)
        },
        "figures": {
            name: array_spread([agreement.flatten(plotted[name]) for plotted in figures])
            for name in figures[0]
            # A curve whose length depends on the seed has no spread; re-runs are told that it was not measured.
            if len({len(agreement.flatten(plotted.get(name, {}))) for plotted in figures}) == 1
        },
    }
    spread["rounding"] = rounding(own, others, spread["metrics"])
    paths.write_json(paths.journal_dir() / "spread" / f"{notebook.name}-{profile_name}.json", spread)
    tell(run, notebook, spread, first)


def tell(run, notebook: course.Notebook, spread: dict, first: dict) -> None:
    """What the journal has of it: the headline results seed by seed, the rest by mean and sd, and the tolerances."""
    for name in notebook.headline:
        values = spread["metrics"].get(name)
        if values and all(isinstance(value, (int, float)) for value in values):
            unit = first["metrics"][name]["unit"]
            run.log(**{f"{name}_mean": statistics.mean(values), f"{name}_sd": statistics.stdev(values)}, unit=unit)
            run.log(**{f"{name}_rounding": spread["rounding"]["metrics"][name]}, unit=unit)
            run.note(f"{name.replace('_', ' ')}, seed by seed: {', '.join(map(number, values))}.")
    for name, values in spread["metrics"].items():
        if name not in notebook.headline and len(set(values)) > 1 and all(isinstance(v, (int, float)) for v in values):
            run.note(f"{name.replace('_', ' ')}: mean {number(statistics.mean(values))}, "
                     f"sd {number(statistics.stdev(values))}, largest deviation between processors "
                     f"{number(spread['rounding']['metrics'][name])}.")  # fmt: skip
    run.finish(
        verdict="{notebook}, {profile} profile: the spread of {n} seeds, and the largest deviation between {k} ways to "
        "round, are kept for every metric and figure.",
        decision="What varies with the seed is judged by its 95 % prediction interval, widened by the rounding; what "
        "came out equal for all seeds by the rounding alone.",
        notebook=notebook.name, profile=spread["profile"], n=len(spread["seeds"]),
        k=len(spread["rounding"]["runs"]) + 1,
    )  # fmt: skip


def refused(record: dict, records: list[dict]) -> str:
    """Why a run cannot be one of these seeds; "" when it can."""
    if record["seed"] is None:
        return "it uses no seed, its results are the same at every run"
    if record["seed"] in [other["seed"] for other in records]:
        return f"seed {record['seed']} stands twice in --seeds, or is the notebook's own"
    different = [name for name in SAME if records and record[name] != records[0][name]]
    return f"{', '.join(different)} changed while this ran" if different else ""


def one(run, notebook: course.Notebook, name: str, environment: dict[str, str]) -> tuple[dict, dict]:
    """The record of one run in the workspace `name`, and the arrays of its figures; from an earlier call if it fits."""
    folder = paths.artifacts("spread", f"{notebook.name}-{os.environ['PROFILE']}", name)
    for made in {made for need in notebook.needs for made in course.notebook(need).makes}:
        source, copy = paths.artifacts(made), folder / "artifacts" / made
        if source.is_dir():
            shutil.rmtree(copy, ignore_errors=True)
        copy.parent.mkdir(parents=True, exist_ok=True)
        (shutil.copytree if source.is_dir() else shutil.copy)(source, copy)
    hardware = folder / "artifacts" / "hardware.json"
    if name in FORMATS and hardware.is_file():
        known = paths.read_json(hardware)
        paths.write_json(hardware, {**known, "dtype": FORMATS[name].get(known["dtype"], "float32")})
    clean = {key: value for key, value in os.environ.items() if key not in ("SEED", *AVX2)}
    # Without --force the runner skips what would come out the same: that is how an interrupted measurement goes on.
    done = subprocess.run(
        [sys.executable, "-m", "helpers.run", "--only", notebook.number], cwd=paths.ROOT,
        env={**clean, **environment, "LAB_WORKSPACE": str(folder)}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode:
        raise SystemExit(f"{notebook.name} failed as {name}:\n{done.stdout}{done.stderr}")
    found = newest(folder, notebook)
    skipped = " (measured before)" if "skipped" in done.stdout else ""
    print(f"{notebook.name}, {name}: {found['seconds']:.0f} s{skipped}", flush=True)
    run.log(**{f"seconds_{name}".replace("-", "_"): found["seconds"]}, unit="s", kind="timing")
    return found, drawn(found, folder / "journal")


def drawn(record: dict, folder: Path) -> dict[str, dict]:
    """figure -> name -> array, of the figures that show results."""
    kinds = {figure: facts["kind"] for figure, facts in record["figures"].items()}
    return {figure: store.sidecar(record, figure, folder)["data"] for figure in kinds if kinds[figure] == "result"}


def elsewhere(own: dict) -> list[tuple[dict, dict]]:
    """The journal's runs of the same recipe and seed on other processors, as :func:`one` gives them."""
    return [
        (record, drawn(record, paths.journal_dir()))
        for record in store.all_records()
        if record["status"] == "finished"
        and all(record.get(name) == own[name] for name in RECIPE)
        and not changes.same_processor(record, own)
    ]


def newest(folder: Path, notebook: course.Notebook) -> dict:
    found = store.latest(notebook.name, os.environ["PROFILE"], folder / "journal")
    if found is None:
        raise SystemExit(f"{notebook.name} left no finished record in {folder.name}")
    return found


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


def rounding(own: tuple[dict, dict], others: list[tuple[dict, dict]], seeds: dict[str, list]) -> dict:
    """The largest deviation from the notebook's own run that another way to round made, for each metric and array.

    Two or three other ways are few: a tie that happens not to flip in any of them may flip on a further processor.
    Metrics that no seed moves and that have the same unit therefore share the largest of theirs, and so do the values
    of one array.
    """
    record, plotted = own
    metrics = {
        name: farthest(
            [record["metrics"][name]["final"]],
            [[other["metrics"][name]["final"]] for other, _ in others if name in other["metrics"]],
        )
        for name in seeds
    }
    pools: dict[str, list[str]] = {}
    for name, values in seeds.items():
        if len(set(values)) == 1 and isinstance(values[0], float):
            pools.setdefault(record["metrics"][name]["unit"], []).append(name)
    for names in pools.values():
        metrics |= dict.fromkeys(names, max(metrics[name] or 0.0 for name in names))
    figures = {
        figure: {
            key: farthest(
                agreement.flatten([value]),
                [agreement.flatten([other[figure][key]]) for _, other in others if key in other.get(figure, ())],
            )
            for key, value in data.items()
        }
        for figure, data in plotted.items()
    }
    runs = [[other["run_id"], changes.processor(other), other["numerics"]] for other, _ in others]
    return {"runs": runs, "metrics": metrics, "figures": figures}


def farthest(own: list, others: list[list]) -> float | None:
    """The largest |other - own|, nine digits; None when a text differs, or the length."""
    largest = 0.0
    for other in others:
        if len(other) != len(own):
            return None
        for a, b in zip(own, other, strict=True):
            if isinstance(a, (int, float)) and isinstance(b, (int, float)):
                largest = max(largest, abs(b - a))
            elif a != b:
                return None
    return float(f"{largest:.9g}")
