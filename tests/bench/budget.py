"""What is a plan worth? Time and peak memory of three models, predicted before and measured after.

Every measurement has a process of its own. A trial of two and ten steps, an evaluation and a checkpoint comes first: it
pays for what libraries set up at the first call and gives the seconds of one of each. It is thrown away, a fresh model
is trained, and the plan is held against that: `budget.training_seconds` against the clock, `budget.memory` against what
was allocated at the peak.

The operating system shows more than is allocated, because glibc keeps the holes between freed tensors. To see that this
is the whole difference, a process more per model and dtype has glibc return every large block at once. That costs page
faults, so it is never timed.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

from helpers import budget, gpt, hardware, journal, paths, plots

from . import BENCHMARKS, temporary

# Every model reads 2,048 ids; the first is notebook 03's on a laptop, the last the shape that the course was asked for.
MODELS = {
    "small": {"shape": (128, 2, 4, 160), "batch_size": 8, "steps": 150},  # block_size, n_layer, n_head, n_embd
    "middle": {"shape": (256, 6, 4, 256), "batch_size": 8, "steps": 30},
    "asked": {"shape": (256, 6, 6, 384), "batch_size": 8, "steps": 30},
}
VOCABULARY = 2048
EVALUATION = 8192  # tokens
DTYPES = ("float32", "bfloat16")
REPEATS = 3
BAND = 0.15  # a plan that misses by more is not worth much


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="make bench ARGS=budget", description=__doc__.splitlines()[0])
    parser.parse_args(arguments)
    machine = hardware.known() or hardware.probe()
    config = {"models": MODELS, "vocabulary": VOCABULARY, "evaluation": EVALUATION, "repeats": REPEATS}
    run = journal.start(BENCHMARKS["budget"], config={**config, "dtype": machine.dtype})
    run.predict("time_miss_largest", 0.1, unit="", kind="timing")
    run.predict("memory_miss_largest", 0.03, unit="", kind="timing")
    memory, seconds = {}, {}
    for name in MODELS:
        for dtype in DTYPES:
            planned = planned_memory(name, dtype)
            run.predict(f"memory_{name}_{dtype}", planned, unit="MB", kind="timing")
            found = alone("peak", name, dtype, machine)
            memory[f"{name}_{dtype}"] = (planned, found["allocated"])
            run.log(**{f"memory_{name}_{dtype}": found["allocated"]}, unit="MB", better="lower", kind="timing")
            run.log(**{f"returned_{name}_{dtype}": found["resident"]}, unit="MB", kind="timing")
            run.log(**{f"setup_{name}_{dtype}": found["setup"]}, unit="MB", kind="timing")
            print(f"{name}, {dtype}: {planned:.0f} MB planned, {found}", flush=True)
    for turn in range(REPEATS):
        for name in MODELS:
            found = alone("train", name, machine.dtype, machine)
            seconds.setdefault(name, []).append(found)
            print(f"{name}, turn {turn + 1}: {found}", flush=True)
        if hasattr(os, "getloadavg"):  # not on Windows; what else the machine does shows in the times
            run.note(f"Turn {turn + 1}: {os.getloadavg()[0]:.1f} processes wanted a core, of {machine.cores}.")
    report(run, memory, seconds, machine.dtype)
    return 0


def planned_memory(name: str, dtype: str) -> float:
    """In MB, before anything has run."""
    return budget.memory(shape(name), MODELS[name]["batch_size"], dtype)["peak"] / 1e6


def shape(name: str) -> gpt.GPTConfig:
    block_size, n_layer, n_head, n_embd = MODELS[name]["shape"]
    return gpt.GPTConfig(VOCABULARY, block_size, n_layer, n_head, n_embd)


def report(run, memory: dict[str, tuple[float, float]], seconds: dict[str, list[dict]], dtype: str) -> None:
    for name, turns in seconds.items():
        planned, measured = (statistics.median(turn[kind] for turn in turns) for kind in ("planned", "measured"))
        run.predict(f"seconds_{name}", planned, unit="s", kind="timing")  # each process planned before it measured
        run.log(**{f"seconds_{name}": measured}, unit="s", better="lower", kind="timing")
        shown = ", ".join(f"{turn['planned']:.1f} planned and {turn['measured']:.1f} measured" for turn in turns)
        run.note(f"{name}, turn by turn: {shown} s.")
        holes = statistics.median(turn["resident"] / turn["allocated"] for turn in turns) - 1
        run.log(**{f"holes_{name}": holes}, unit="", kind="timing")
    misses = [turn["measured"] / turn["planned"] - 1 for turns in seconds.values() for turn in turns]
    run.log(time_miss_largest=max(map(abs, misses)), unit="", better="lower", kind="timing")
    run.log(time_inside=sum(abs(miss) <= BAND for miss in misses), unit="of 9", better="higher", kind="timing")
    in_training = [turn["allocated"] / planned_memory(name, dtype) for name, turns in seconds.items() for turn in turns]
    ratios = [measured / planned for planned, measured in memory.values()] + in_training
    run.log(memory_miss_largest=max(abs(r - 1) for r in ratios), unit="", better="lower", kind="timing")
    draw(run, memory, seconds)
    largest = max(len(turns) for turns in seconds.values())
    run.finish(
        verdict="Of {n} trainings of three models, {time_inside:.0f} took the planned time within {band:.0%}; the "
        "largest miss was {time_miss_largest:.0%}. The planned peak memory was missed by at most "
        "{memory_miss_largest:.1%}, in float32 and bfloat16. The system shows more, {holes_least:.0%} to "
        "{holes_most:.0%}: holes that the allocator keeps, beside what libraries set up once ({setup:.0f} MB).",
        decision="Plan memory by the formula, and leave room for the holes and for the libraries.",
        n=largest * len(seconds),
        band=BAND,
        holes_least=min(turn["resident"] / turn["allocated"] for turns in seconds.values() for turn in turns) - 1,
        holes_most=max(turn["resident"] / turn["allocated"] for turns in seconds.values() for turn in turns) - 1,
        setup=max(run.record["metrics"][f"setup_{name}"]["final"] for name in memory),
    )


def draw(run, memory: dict[str, tuple[float, float]], seconds: dict[str, list[dict]]) -> None:
    """Measured over planned, with the band: each training's time, and each peak."""
    fig, ax = plots.figure(ncols=2, height=3.4)
    for i, (name, turns) in enumerate(seconds.items()):
        ax[0].loglog(*zip(*((t["planned"], t["measured"]) for t in turns), strict=True), "o", ms=6, label=name)
        for j, dtype in enumerate(DTYPES):
            color = list(plots.COLORS.values())[i]
            ax[1].loglog(*memory[f"{name}_{dtype}"], "os"[j], ms=6, color=color, label=f"{name}, {dtype}")
    for axis, unit in zip(ax, ("seconds", "MB at the peak"), strict=True):
        ends = (*axis.get_xlim(), *axis.get_ylim())
        band = [0.9 * min(ends), 1.1 * max(ends)]
        axis.plot(band, band, color=plots.COLORS["grey"], lw=1)
        axis.fill_between(band, *([x * k for x in band] for k in (1 - BAND, 1 + BAND)), color="#dddddd", zorder=0)
        ticks = [n * 10**k for k in range(-1, 5) for n in (1, 2, 5) if band[0] <= n * 10**k <= band[1]]
        for line in (axis.xaxis, axis.yaxis):
            line.set_ticks(ticks, [f"{tick:g}" for tick in ticks])
            line.set_minor_formatter("")
        axis.set(xlabel=f"planned: {unit}", ylabel=f"measured: {unit}", xlim=band, ylim=band)
        axis.legend(fontsize=9)
    data = {f"seconds_{name}": [[t["planned"], t["measured"]] for t in turns] for name, turns in seconds.items()}
    data |= {f"memory_{name}": list(pair) for name, pair in memory.items()}
    said = [f"{name} {p:.1f} and {m:.1f} s" for name, turns in seconds.items() for p, m in data[f"seconds_{name}"]]
    said += [f"{name} {p:.0f} and {m:.0f} MB" for name, (p, m) in memory.items()]
    alt = f"Planned against measured, with a band of {BAND:.0%}: {'; '.join(said)}."
    run.figure("bench_budget", fig, data=data, alt=alt, kind="timing")


def alone(work: str, name: str, dtype: str, machine: hardware.Hardware) -> dict:
    """What `worker` measured, in a process of its own."""
    given = json.dumps({**machine.as_dict(), "dtype": dtype})
    code = f"from tests.bench import budget; budget.worker({work!r}, {name!r}, {given!r})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=paths.ROOT)
    if done.returncode:
        raise SystemExit(f"error: {work} {name} failed:\n{done.stderr[-2000:]}")
    return json.loads(done.stdout.strip().splitlines()[-1])


# -- in the process of its own -----------------------------------------------------------------------------------------


def worker(work: str, name: str, given: str) -> None:
    machine = hardware.Hardware(**json.loads(given))
    print(json.dumps({"peak": peak, "train": train}[work](name, machine)))


def trainer(name: str, machine: hardware.Hardware):
    """A fresh model, and text of random ids: what is in the text changes neither time nor memory."""
    import numpy as np

    from helpers import training

    steps = MODELS[name]["steps"]
    recipe = training.Recipe(
        max_iters=1000, batch_size=MODELS[name]["batch_size"], learning_rate=1e-4, eval_interval=steps
    )
    ids = np.random.default_rng(1).integers(0, VOCABULARY, 100_000).astype(np.uint16)
    return training.Trainer(gpt.GPT(shape(name)), ids, recipe, machine)


def evaluate(one) -> None:
    from helpers import training

    training.evaluate(one.model, one.ids[: EVALUATION + 1], one.machine, one.recipe.batch_size)


def keep(one) -> None:
    from helpers import checkpoint

    with temporary() as folder:
        checkpoint.save(one, Path(folder), "bench_budget", "bench")


def seconds(work) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def plan(name: str, machine: hardware.Hardware) -> float:
    """Seconds that a training will take, from one warm step, evaluation and checkpoint of a trial."""
    trial = trainer(name, machine)
    step = budget.seconds_per_step(trial.advance, warm=2, timed=10)
    evaluate(trial)
    evaluation = seconds(lambda: evaluate(trial))
    keep(trial)
    saving = seconds(lambda: keep(trial))
    parts = budget.training_seconds(
        step, MODELS[name]["steps"], evaluation=evaluation, evaluations=1, checkpoint=saving, checkpoints=1
    )
    return parts["total"]


def train(name: str, machine: hardware.Hardware) -> dict[str, float]:
    """Seconds planned and measured of some steps, an evaluation and a checkpoint, and the peak in MB."""
    planned = plan(name, machine)
    with budget.PeakMemory(machine.device) as found:
        one = trainer(name, machine)
        began = time.perf_counter()
        for _ in range(MODELS[name]["steps"]):
            one.advance()
        evaluate(one)
        keep(one)
        measured = time.perf_counter() - began
    allocated = found.allocated or found.mb  # where nothing counts what is allocated, what is resident
    return {"planned": planned, "measured": measured, "allocated": allocated, "resident": found.mb}


def peak(name: str, machine: hardware.Hardware) -> dict[str, float]:
    """MB at the peak of three steps and an evaluation while glibc returns blocks at once, and what setting up kept."""
    if machine.device == "cpu" and (libc := budget.glibc()):
        libc.mallopt(-3, 2**16)  # M_MMAP_THRESHOLD: from 64 KiB on a mapping of its own; fixed, where it would grow
        libc.mallopt(-4, 2**24)  # M_MMAP_MAX: as many of them as there are

    def steps() -> None:
        one = trainer(name, machine)
        for _ in range(3):
            one.advance()
        evaluate(one)

    before = resident()
    steps()
    budget.return_freed_memory()
    setup = resident() - before
    with budget.PeakMemory(machine.device) as found:
        steps()
    return {"setup": setup, "allocated": found.allocated or found.mb, "resident": found.mb}


def resident() -> float:
    import psutil

    return psutil.Process().memory_info().rss / 1e6
