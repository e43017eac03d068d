"""What does watching a training cost? A step, a drawing of the live chart, and the monitor in the background."""

from __future__ import annotations

import argparse
import statistics

from helpers import journal
from labjournal import live

from . import BENCHMARKS
from .processes import measure

# In a process of its own, with a workspace of its own. Live drawing is off while steps are timed: it has its own limit.
SCRIPT = """
import contextlib, io, json, sys, time
from helpers import journal, paths, plots
from labjournal import live

STEPS = 2000
names = "monitor_core_percent", "step_microseconds", "step_with_tensorboard_microseconds", "chart_seconds"
out = {name: [] for name in names}
with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
    run = journal.start("03_gpt", seed=1)
    began, used = time.perf_counter(), time.process_time()
    time.sleep(10)
    out["monitor_core_percent"].append(100 * (time.process_time() - used) / (time.perf_counter() - began))
    live.PAUSE = 1e9
    for name, folder in (("step", None), ("step_with_tensorboard", paths.artifacts("board"))):
        with run.watch(10 * STEPS, unit="nats/token", tensorboard=folder) as watch:
            began = time.perf_counter()
            for step in range(1, STEPS + 1):
                watch.step(step, 3.0 - step / 10_000, gradient_norm=1.0, learning_rate=1e-3)
            out[f"{name}_microseconds"].append(1e6 * (time.perf_counter() - began) / STEPS)
    for _ in range(5):
        began = time.perf_counter()
        plots.png(live.chart(run.progress.training, {"uniform": 8.3}, "step 2,000"), small=False)
        out["chart_seconds"].append(time.perf_counter() - began)
    del out["chart_seconds"][0]  # the first pays for the fonts
    run.finish(verdict="measured")
print(json.dumps(out))
"""
PROCESSES = 3
UNITS = {
    "monitor_core_percent": "% of a core",
    "step_microseconds": "µs",
    "step_with_tensorboard_microseconds": "µs",
    "chart_seconds": "s",
}
PREDICTED = (0.3, 100, 300, 0.1)


def main(arguments: list[str]) -> int:
    argparse.ArgumentParser(prog="make bench ARGS=watch", description=__doc__).parse_args(arguments)
    run = journal.start(BENCHMARKS["watch"], config={"processes": PROCESSES})
    for (name, unit), value in zip(UNITS.items(), PREDICTED, strict=True):
        run.predict(name, value, unit=unit, kind="timing")
    found = measure(SCRIPT, PROCESSES)
    for name, values in found.items():
        run.log(**{name: statistics.median(values)}, unit=UNITS[name], kind="timing")
        run.log(**{f"{name}_largest": max(values)}, unit=UNITS[name], kind="timing")
    run.finish(
        verdict="A watched step costs {step_microseconds:.0f} µs, with the export for TensorBoard "
        "{step_with_tensorboard_microseconds:.0f} µs. The monitor takes {monitor_core_percent:.2f} % of a core "
        "(largest of {n}: {monitor_core_percent_largest:.2f} %). Drawing the chart takes "
        "{chart_seconds:.2f} s, so it is drawn once in {pause:.0f} s.",
        n=PROCESSES,
        pause=max(live.PAUSE, statistics.median(found["chart_seconds"]) / live.SHARE),
    )
    return 0
