"""Is the fast recipe the better default where the course and `train --text` use it: tokens, not characters?

The shape of notebook 03 on its own shards, five seeds. Three arms: classic and fast with the same number of steps, and
classic with as many steps more as fit into the time that fast takes. Steps are timed in turn before anything is
trained, and every training is timed, too.
"""

from __future__ import annotations

import argparse
import dataclasses
import statistics
import time

import numpy as np

from helpers import bpe, gpt, hardware, journal, paths, profile, shards, stats, training
from labjournal.markdown import number

from . import BENCHMARKS, arms

STEPS = 700
EVALUATED = 100_000  # tokens of the validation shard, from its start
ARMS = {
    "classic": "the classic recipe",
    "fast": "the fast one, as many steps",
    "longer": "the classic one, in the same time",
}


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="make bench ARGS=recipes", description=__doc__.splitlines()[0])
    parser.parse_args(arguments)
    settings = profile.load()
    folder = paths.artifacts("tokenizer")
    manifest = paths.read_manifest(folder, shards.MADE_BY, settings.name)
    tokenizer = bpe.load_tokenizer(folder)
    train, val = (shards.read(folder, side, tokenizer)[0] for side in ("train", "val"))
    config = {**vars(settings.gpt), "steps": STEPS, "seeds": len(arms.SEEDS), "evaluated": EVALUATED}
    for unused in ("max_iters", "eval_interval", "eval_batches"):
        del config[unused]
    run = journal.start(BENCHMARKS["recipes"], config=config, data_hash=manifest["data_hash"][:16])
    run.predict("gain_same_steps", 0.3, unit="nats/token")
    run.predict("gain_same_time", 0.2, unit="nats/token")
    machine = arms.machine()
    ratio = step_ratio(settings.gpt, tokenizer.vocab_size, train, machine, run)
    longer = round(STEPS * ratio)
    run.log(steps_longer=longer, unit="steps", kind="timing")
    found: dict[str, list[tuple[float, float]]] = {name: [] for name in ARMS}
    for seed in arms.SEEDS:
        for name in ARMS:
            steps = longer if name == "longer" else STEPS
            found[name].append(trained(name, seed, steps, settings.gpt, tokenizer.vocab_size, (train, val), machine))
            print(f"seed {seed}, {name}, {steps} steps: {found[name][-1]}", flush=True)
    report(run, found)
    return 0


def model_and_recipe(name: str, settings, vocab_size: int, steps: int, seed: int):
    shape = {key: getattr(settings, key) for key in ("block_size", "n_layer", "n_head", "n_embd", "dropout")}
    sizes = dataclasses.replace(settings, max_iters=steps, eval_interval=steps)
    if name == "fast":
        return gpt.FastConfig(vocab_size, **shape), training.fast(sizes, seed)
    return gpt.GPTConfig(vocab_size, **shape), training.classic(sizes, seed)


def step_ratio(settings, vocab_size: int, train: np.ndarray, machine, run) -> float:
    """Seconds of a fast step over those of a classic one, in turn."""
    trainers = []
    for name in ("classic", "fast"):
        config, recipe = model_and_recipe(name, settings, vocab_size, 1000, 1)
        trainers.append(training.Trainer(gpt.make(config), train, recipe, machine))
    sizes = [sum(p.numel() for p in trainer.model.parameters()) for trainer in trainers]
    run.log(parameters_classic=sizes[0], parameters_fast=sizes[1], unit="")
    ratios = []
    for turn in range(7):
        seconds = []
        for trainer in trainers:
            began = time.perf_counter()
            for _ in range(15):
                trainer.advance()
            seconds.append(time.perf_counter() - began)
        if turn:  # the first warms up
            ratios.append(seconds[1] / seconds[0])
    run.note("A fast step over a classic one, turn by turn: {ratios}.", ratios=", ".join(f"{r:.2f}" for r in ratios))
    run.log(step_ratio=statistics.median(ratios), unit="times", better="lower", kind="timing")
    return statistics.median(ratios)


def trained(name: str, seed: int, steps: int, settings, vocab_size: int, sides, machine) -> tuple[float, float]:
    """Validation loss in nats per token, and seconds of the steps."""
    config, recipe = model_and_recipe(name, settings, vocab_size, steps, seed)
    hardware.seed_everything(seed)
    trainer = training.Trainer(gpt.make(config), sides[0], recipe, machine)
    began = time.perf_counter()
    while trainer.step < recipe.max_iters:
        trainer.advance()
    seconds = time.perf_counter() - began
    return training.evaluate(trainer.model, sides[1][:EVALUATED], machine, 16), seconds


def report(run, found: dict[str, list[tuple[float, float]]]) -> None:
    losses = {name: np.array([loss for loss, _ in results]) for name, results in found.items()}
    for name, results in found.items():
        run.log(**{f"val_loss_{name}": losses[name].mean()}, unit="nats/token", better="lower")
        run.log(**{f"val_loss_{name}_sd": losses[name].std(ddof=1)}, unit="nats/token")
        run.log(**{f"seconds_{name}": statistics.fmean(s for _, s in results)}, unit="s", better="lower", kind="timing")
        shown = ", ".join(f"{number(loss)} in {seconds:.0f} s" for loss, seconds in results)
        run.note(f"{ARMS[name]}, seed by seed: {shown}.")
    columns = {"validation loss": "val_loss_{}", "sd": "val_loss_{}_sd", "seconds": "seconds_{}"}
    run.table("The arms", list(found), columns)
    gaps = {
        "gain_same_steps": stats.mean_difference(losses["fast"], losses["classic"], paired=True),
        "gain_same_time": stats.mean_difference(losses["fast"], losses["longer"], paired=True),
    }
    for (name, (low, high, p)), than, level in zip(
        gaps.items(), ("classic", "longer"), stats.holm([gap[2] for gap in gaps.values()]), strict=True
    ):
        run.log(**{name: losses[than].mean() - losses["fast"].mean()}, unit="nats/token", better="higher")
        run.log(**{f"{name}_low": low, f"{name}_high": high}, unit="nats/token")
        word = ("better" if low > 0 else "worse") if p <= level else "cannot tell"
        run.log(**{f"verdict_{name}": word}, unit="")
    run.finish(
        verdict="With the layers and shards of notebook 03 ({parameters_fast:,} parameters against "
        "{parameters_classic:,}: tables of earlier tokens are looked up, not multiplied), fast ends "
        "{gain_same_steps:.3f} nats per token below classic after as many steps ({gain_same_steps_low:.3f} to "
        "{gain_same_steps_high:.3f}: {verdict_gain_same_steps}) and {gain_same_time:.3f} below it in the same time "
        "({gain_same_time_low:.3f} to {gain_same_time_high:.3f}: {verdict_gain_same_time}).",
        decision="What is better after as much time is the default of `train --text`.",
    )
