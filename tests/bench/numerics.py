"""Two changes that make training faster and could make it worse: bfloat16, and no dropout on attention weights.

1. The asked-for model (6 layers of 384, a context of 256, dropout 0.2, AdamW at 3e-4), its first 60 steps, in float32
   and in bfloat16 from the same seeds. What bfloat16 changes is held against what another seed changes. Batches of 16
   instead of 64: five seeds of 64 take two hours. The rate is at its peak after 10 steps.
2. The small model, two passes over the training text, with dropout 0.2 on what blocks add, and with or without 0.2 on
   attention weights, too. Same seeds, same batches.

The trainings run side by side, one thread each; nothing here is timed.
"""

from __future__ import annotations

import argparse
import dataclasses
import multiprocessing
import statistics
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np

from helpers import gpt, hardware, journal, plots, stats, training

from . import BENCHMARKS, arms, temporary

STEPS, BATCH = 60, 16
PASSES, SMALL_BATCH, DROPOUT = 2, 24, 0.2
ASKED = {"block_size": 256, "n_layer": 6, "n_head": 6, "n_embd": 384, "dropout": 0.2}


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="make bench ARGS=numerics", description=__doc__.splitlines()[0])
    parser.parse_args(arguments)
    ids, letters, data_hash = arms.text()
    config = {"books": arms.BOOKS, "seeds": len(arms.SEEDS), "steps": STEPS, "batch_size": BATCH, "passes": PASSES}
    config |= {"small_batch": SMALL_BATCH, "dropout": DROPOUT, **ASKED}
    run = journal.start(BENCHMARKS["numerics"], config=config, data_hash=data_hash[:16])
    run.predict("largest_deviation", 0.2, unit="standard deviations")
    run.predict("attention_dropout_effect", 0.0, unit="nats/character")
    spawn = multiprocessing.get_context("spawn")
    with temporary() as folder:
        np.save(Path(folder) / "ids.npy", ids)
        given = (folder, letters)
        with ProcessPoolExecutor(
            hardware.usable_cores(), mp_context=spawn, initializer=prepare, initargs=given
        ) as pool:
            first = curves(run, pool)
            second = dropouts(run, pool)
    run.finish(verdict=f"{first} {second}", decision="The fast recipe computes in bfloat16 where that is faster, and "
               "drops nothing of attention.")  # fmt: skip
    return 0


def prepare(folder: str, letters: int) -> None:
    """Once in every process."""
    global sides, vocabulary
    arms.one_thread()
    sides, vocabulary = arms.split(np.load(Path(folder) / "ids.npy")), letters


def curve(dtype: str, seed: int) -> list[float]:
    """Training loss of every step."""
    recipe = training.Recipe(max_iters=5000, batch_size=BATCH, learning_rate=3e-4, eval_interval=5000,
                             warmup_fraction=10 / 5000, seed=seed)  # fmt: skip
    hardware.seed_everything(seed)
    model = gpt.make(gpt.FastConfig(vocabulary, **ASKED, **arms.OFF))
    trainer = training.Trainer(model, sides[0], recipe, dataclasses.replace(arms.machine(), dtype=dtype))
    for _ in range(STEPS):
        trainer.advance()
    return trainer.losses


def small(attention_dropout: float, seed: int) -> float:
    """Validation loss of the small model after its passes."""
    from helpers.gpt import fast

    if attention_dropout:
        fast.attend = dropping(attention_dropout)  # of this call; put back below
    try:
        steps = round(PASSES * len(sides[0]) / (SMALL_BATCH * arms.CONTEXT))
        recipe = arms.plain_recipe(steps, seed, batch_size=SMALL_BATCH, **arms.TUNED)
        config = arms.plain_config(vocabulary, dropout=DROPOUT)
        return arms.run(config, recipe, sides, arms.machine())["val_loss"]
    finally:
        fast.attend = ATTEND


def dropping(p: float):
    """Attention written out, with dropout on its weights while there is something to learn."""
    import torch
    import torch.nn.functional as F

    def attend(q, k, v):
        T, D = q.shape[-2:]
        ahead = torch.full((T, T), float("-inf"), dtype=q.dtype).triu(1)
        weights = (q @ k.mT * D**-0.5 + ahead).softmax(-1)  # (B, H, T, T)
        return F.dropout(weights, p, training=q.requires_grad) @ v

    return attend


ATTEND = gpt.fast.attend


def curves(run, pool) -> str:
    jobs = [(dtype, seed) for seed in arms.SEEDS for dtype in ("float32", "bfloat16")]
    found: dict[str, list[list[float]]] = {"float32": [], "bfloat16": []}
    for (dtype, seed), losses in zip(jobs, pool.map(curve, *zip(*jobs, strict=True)), strict=True):
        found[dtype].append(losses)
        print(f"{dtype}, seed {seed}: {losses[0]:.4f} to {losses[-1]:.4f}", flush=True)
    full, half = (np.array(found[dtype]) for dtype in ("float32", "bfloat16"))  # (seeds, steps)
    spread = full.std(axis=0, ddof=1)
    deviation = np.abs(half.mean(axis=0) - full.mean(axis=0)) / spread
    paired = np.abs(half - full)
    run.log(largest_deviation=deviation.max(), unit="standard deviations", better="lower")
    run.log(largest_paired=paired.max(), mean_paired=paired.mean(), unit="nats/character", better="lower")
    run.log(seed_spread=spread.mean(), unit="nats/character")
    low, high, _ = stats.mean_difference(full[:, -10:].mean(axis=1), half[:, -10:].mean(axis=1), paired=True)
    run.log(last_ten_low=low, last_ten_high=high, unit="nats/character")
    fig, ax = plots.figure(height=3.2)
    x = np.arange(1, STEPS + 1)
    ax.fill_between(x, full.min(axis=0), full.max(axis=0), color="#cccccc", label="float32, range of the seeds")
    ax.plot(x, half.mean(axis=0), label="bfloat16, mean of the seeds")
    ax.set(xlabel="step", ylabel="training loss (nats/character)")
    ax.legend()
    alt = (
        f"Training loss over {STEPS} steps: the mean in bfloat16 stays within {deviation.max():.2f} standard "
        f"deviations of the mean of the seeds in float32; both end near {full[:, -1].mean():.2f}."
    )
    run.figure("bench_numerics", fig, data={name: np.array(value).tolist() for name, value in found.items()}, alt=alt)
    return (
        f"Over the first {STEPS} steps the mean loss in bfloat16 is never more than {deviation.max():.2f} standard "
        f"deviations of the float32 seeds away; from the same seed it differs by {paired.mean():.4f} nats per "
        f"character on average, where seeds have a standard deviation of {spread.mean():.4f}. Over the last ten steps "
        f"bfloat16 is {low:+.4f} to {high:+.4f} nats per character above (95 %, paired)."
    )


def dropouts(run, pool) -> str:
    jobs = [(p, seed) for seed in arms.SEEDS for p in (0.0, DROPOUT)]
    found: dict[float, list[float]] = {0.0: [], DROPOUT: []}
    for (p, seed), loss in zip(jobs, pool.map(small, *zip(*jobs, strict=True)), strict=True):
        found[p].append(loss)
        print(f"attention dropout {p}, seed {seed}: {loss:.4f}", flush=True)
    low, high, p_value = stats.mean_difference(np.array(found[0.0]), np.array(found[DROPOUT]), paired=True)
    effect = statistics.fmean(found[DROPOUT]) - statistics.fmean(found[0.0])
    run.log(attention_dropout_effect=effect, unit="nats/character", better="lower")
    run.log(attention_dropout_low=low, attention_dropout_high=high, unit="nats/character")
    for p, losses in found.items():
        run.note(f"Attention dropout {p}, seed by seed: {', '.join(f'{loss:.4f}' for loss in losses)}.")
    word = "cannot be told from nothing" if p_value > stats.ALPHA else "raises the loss" if effect > 0 else "lowers it"
    return (
        f"Dropout on attention weights changes the loss of the small model after {PASSES} passes by {effect:+.4f} "
        f"({low:+.4f} to {high:+.4f}) nats per character: {word}."
    )
