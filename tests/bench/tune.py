"""As many trials for the plain recipe as for the fast one, on text that neither is judged on.

Comparing a tuned recipe with an untuned one flatters it. Both get the same number of random draws from ranges of
their own, each trained once on the first eight tenths of the text and measured on the ninth. The last tenth is not
touched.
"""

from __future__ import annotations

import argparse
import multiprocessing
from concurrent.futures import ProcessPoolExecutor

import numpy as np

from helpers import hardware, journal, plots
from labjournal.markdown import number

from . import BENCHMARKS, arms

TRIALS = 12
PLAIN_STEPS = 1000  # half of its length: what is sought is the recipe that gets there sooner
FAST_TOKENS = 110_000


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="make bench ARGS=tune", description=__doc__.splitlines()[0])
    parser.parse_args(arguments)
    data_hash = arms.text()[2]
    config = {"trials": TRIALS, "plain_steps": PLAIN_STEPS, "fast_tokens": FAST_TOKENS, "books": arms.BOOKS}
    run = journal.start(BENCHMARKS["tune"], config=config, data_hash=data_hash[:16])
    run.predict("best_plain", 2.0, unit="nats/character")
    run.predict("best_fast", 1.87, unit="nats/character")
    trials = {"plain": [], "fast": []}
    jobs = [(name, draw(name, trial)) for name in trials for trial in range(TRIALS)]
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(hardware.usable_cores(), mp_context=spawn, initializer=arms.one_thread) as pool:
        for (name, drawn), loss in zip(jobs, pool.map(one, *zip(*jobs, strict=True)), strict=True):
            trials[name].append((loss, drawn))
            run.log(step=len(trials[name]), unit="nats/character", better="lower", **{f"{name}_trial": loss})
            shown = ", ".join(f"{key} {value:.3g}" for key, value in drawn.items())
            run.note(f"{name}, trial {len(trials[name])}: {number(loss)} nats per character with {shown}.")
            print(f"{name}: {loss:.4f} with {shown}", flush=True)
    for name, found in trials.items():
        run.log(**{f"best_{name}": min(loss for loss, _ in found)}, unit="nats/character", better="lower")
        run.log(**{f"worst_{name}": max(loss for loss, _ in found)}, unit="nats/character", better="lower")
    fig, ax = plots.figure(height=2.2)
    for i, (name, found) in enumerate(trials.items()):
        ax.plot([loss for loss, _ in found], [i] * TRIALS, "o", ms=8, alpha=0.6, label=name)
    ax.set_yticks(range(len(trials)), trials)
    ax.set(xlabel="loss on the text for tuning (nats/character)", ylim=(-0.5, len(trials) - 0.5))
    data = {name: [loss for loss, _ in found] for name, found in trials.items()}
    said = "; ".join(f"{name}: {', '.join(f'{loss:.3f}' for loss in sorted(losses))}" for name, losses in data.items())
    run.figure("bench_tune", fig, data=data, alt=f"Loss of every trial, from best to worst. {said}.")
    best = {name: min(found, key=lambda trial: trial[0])[1] for name, found in trials.items()}
    run.finish(
        verdict="{n} trials each. The best plain one reaches {best_plain:.3f} nats per character after {steps} steps "
        "({plain}), the best fast one {best_fast:.3f} after {tokens:,} characters ({fast}).",
        decision="The race and the levers take the best of each.",
        n=TRIALS, steps=PLAIN_STEPS, tokens=FAST_TOKENS,
        **{name: ", ".join(f"{key} {value:.3g}" for key, value in drawn.items()) for name, drawn in best.items()},
    )  # fmt: skip
    return 0


FIRST = {  # what each was before any tuning: nanoGPT's own, and rates as they are published for Muon
    "plain": {},
    "fast": {
        "learning_rate": 0.02,
        "table_learning_rate": 0.015,
        "cooldown_fraction": 0.7,
        "momentum": 0.95,
        "batch_size": 24,
    },
}


def draw(name: str, trial: int) -> dict[str, float]:
    """Settings of a trial."""
    if not trial:
        return FIRST[name]
    chance = np.random.default_rng([ord(name[0]), trial])

    def between(low: float, high: float) -> float:
        return float(np.exp(chance.uniform(np.log(low), np.log(high))))

    if name == "plain":
        return {
            "learning_rate": between(1e-3, 1e-2),
            "warmup_fraction": float(chance.choice([0.02, 0.05, 0.1])),
            "final_fraction": float(chance.choice([0.0, 0.1])),
            "weight_decay": float(chance.choice([0.0, 0.1])),
        }
    return {
        "learning_rate": between(0.008, 0.05),
        "table_learning_rate": between(0.005, 0.04),
        "cooldown_fraction": float(chance.choice([0.4, 0.7, 1.0])),
        "momentum": float(chance.choice([0.85, 0.9, 0.95])),
        "batch_size": int(chance.choice([12, 16, 24, 32])),
    }


def one(name: str, drawn: dict) -> float:
    ids, letters, _ = arms.text()
    if name == "plain":
        config, recipe = arms.plain_config(letters), arms.plain_recipe(PLAIN_STEPS, **drawn)
    else:
        batch = drawn.get("batch_size", arms.FAST_BATCH)
        steps = round(FAST_TOKENS / (batch * arms.CONTEXT))
        config, recipe = arms.fast_config(letters), arms.fast_recipe(steps, **drawn)
    return arms.run(config, recipe, arms.split(ids, tuning=True), arms.machine())["val_loss"]
