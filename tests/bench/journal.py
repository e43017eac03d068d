"""What does the journal cost? Starting a run, without imports, and logging one number."""

from __future__ import annotations

import argparse
import statistics

from helpers import journal

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
PROCESSES = 5


def main(arguments: list[str]) -> int:
    argparse.ArgumentParser(prog="make bench ARGS=journal", description=__doc__).parse_args(arguments)
    run = journal.start("bench_journal", config={"processes": PROCESSES})
    run.predict("start_seconds", 0.3, unit="s", kind="timing")
    run.predict("log_microseconds", 50, unit="µs", kind="timing")
    found = measure(SCRIPT, PROCESSES)
    for name, values in found.items():
        unit = {"start_seconds": "s", "log_microseconds": "µs"}[name]
        run.log(**{name: statistics.median(values)}, unit=unit, kind="timing")
        run.log(**{f"{name}_slowest": max(values)}, unit=unit, kind="timing")
    run.finish(
        verdict="Starting a run takes {start_seconds:.2f} s (slowest of {n}: {start_seconds_slowest:.2f} s), logging "
        "one value {log_microseconds:.0f} µs on average (slowest series of 2,000: {log_microseconds_slowest:.0f} µs).",
        n=len(found["start_seconds"]),
    )
    return 0
