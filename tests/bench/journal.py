"""What does the journal cost? Starting a run and logging one number; and what both take when there are 3,000 runs."""

from __future__ import annotations

import argparse
import statistics

from helpers import journal

from . import BENCHMARKS
from .processes import measure

# In a process of its own, with a workspace of its own; the first start pays for the imports and is not counted.
SCRIPT = """
import contextlib, io, json, time
from helpers import journal

starts, logs = [], []
with contextlib.redirect_stdout(io.StringIO()):
    journal.start("03_gpt", seed=1).finish(verdict="warm")
    for _ in range(5):
        began = time.perf_counter()
        run = journal.start("03_gpt", config={"learning_rate": 1e-3}, seed=1)
        starts.append(time.perf_counter() - began)
        began = time.perf_counter()
        for step in range(2000):
            run.log(step=step, train_loss=3.0 - step / 1000, unit="nats/token", better="lower")
        logs.append((time.perf_counter() - began) / 2000)
        run.finish(verdict="measured")
print(json.dumps({"start_seconds": starts, "log_microseconds": [1e6 * seconds for seconds in logs]}))
"""
# One real run of a notebook's size, copied under other ids: all of the same notebook, the worst case for a start.
MANY = """
import contextlib, io, json, shutil, time
from helpers import journal
from labjournal import __main__ as command
from labjournal import pages, render
from labjournal import store

def timed(call, *arguments):
    began = time.perf_counter()
    found = call(*arguments)
    return found, time.perf_counter() - began

with contextlib.redirect_stdout(io.StringIO()) as said:
    run = journal.start("03_gpt", config={f"setting_{i}": i for i in range(10)}, seed=1)
    for i in range(25):
        run.predict(f"metric_{i}", 2.0, unit="nats/token")
        run.log(**{f"metric_{i}": 1.0 + i}, unit="nats/token", better="lower")
    with run.watch(2500, unit="nats/token") as watch:
        for step in range(1, 2501):
            watch.step(step, 5 - step / 1000, gradient_norm=1.0)
    run.finish(verdict="one of many")
    mine, texts = run.record["run_id"], {name: (run.folder / name).read_text("utf-8") for name in
                                         ("run.json", "events.jsonl", "entry.md", "series.json")}
    size = sum(len(text.encode()) for text in texts.values())
    lines = []
    for i in range(RUNS - 1):
        other = f"20260101T{i:09d}Z-03_gpt-{i:04x}"
        shutil.copytree(run.folder, folder := run.folder.with_name(other))
        for name in ("run.json", "events.jsonl"):
            (folder / name).write_text(texts[name].replace(mine, other), "utf-8")
        lines.append(render.line(store.read(folder / "run.json")))
    store.append(pages.page(), "".join(lines))
    journal.start("04_learning_curves", seed=1).finish(verdict="imports")
    _, start = timed(journal.start, "03_gpt")
    listed, list_ = timed(command.main, ["list"])
    _, index = timed(command.main, ["readme"])
    status, verify = timed(command.main, ["verify"])
assert listed == 0 and status in (0, 1)
line = len("".join(lines).encode()) / len(lines)
print(json.dumps({"many_start_seconds": [start], "many_list_seconds": [list_], "many_readme_seconds": [index],
                  "many_verify_seconds": [verify], "run_kilobytes": [size / 1e3], "line_bytes": [line]}))
"""
PROCESSES, RUNS = 5, 3000
UNITS = {"log_microseconds": "µs", "run_kilobytes": "kB", "line_bytes": "bytes"}


def main(arguments: list[str]) -> int:
    argparse.ArgumentParser(prog="make bench ARGS=journal", description=__doc__).parse_args(arguments)
    run = journal.start(BENCHMARKS["journal"], config={"processes": PROCESSES, "runs": RUNS})
    for name, value, unit in (("start_seconds", 0.3, "s"), ("log_microseconds", 50, "µs"),
                              ("many_start_seconds", 0.3, "s"), ("many_list_seconds", 2.0, "s")):  # fmt: skip
        run.predict(name, value, unit=unit, kind="timing")
    found = measure(SCRIPT, PROCESSES) | measure(MANY.replace("RUNS", str(RUNS)), 1)
    for name, values in found.items():
        run.log(**{name: statistics.median(values)}, unit=UNITS.get(name, "s"), kind="timing")
        if len(values) > 1:
            run.log(**{f"{name}_slowest": max(values)}, unit=UNITS.get(name, "s"), kind="timing")
    run.finish(
        verdict="Starting a run takes {start_seconds:.2f} s (slowest of {n}: {start_seconds_slowest:.2f} s), logging "
        "one value {log_microseconds:.0f} µs on average (slowest series of 2,000: {log_microseconds_slowest:.0f} µs). "
        "Among {runs:,} runs of one notebook a start takes {many_start_seconds:.2f} s, the list "
        "{many_list_seconds:.1f} s, the README {many_readme_seconds:.1f} s, the check of everything "
        "{many_verify_seconds:.0f} s. A run of 2,500 watched steps takes {run_kilobytes:.0f} kB.",
        n=len(found["start_seconds"]), runs=RUNS,
    )  # fmt: skip
    return 0
