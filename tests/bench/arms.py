"""What the training benchmarks share: the text, the plain recipe and the fast one, and a training of either.

The text is the characters of seven of Shakespeare's tragedies, cleaned by notebook 01, in alphabetical order; its last
tenth is for validation. What is tuned is tuned without that tenth: on the nine tenths before it, the last of them held
out.

The plain arm is nanoGPT's recipe for a CPU (its README, "I only have a MacBook") on a model of the same shape: 4 layers
of 128, 4 heads, a context of 64 characters, 2000 steps of 12 windows, AdamW with a peak of 1e-3 after 100 steps and a
cosine down to a tenth, weight decay 0.1, gradients clipped at 1, no dropout.
"""

from __future__ import annotations

import dataclasses
import time

import numpy as np

from helpers import gpt, hardware, mrclean, paths, profile, training
from helpers.recipe import Recipe

from . import tried

BOOKS = profile.Race().books
SEEDS = (1, 2, 3, 4, 5)
CONTEXT = 64
SHAPE = {"block_size": CONTEXT, "n_layer": 4, "n_embd": 128}
OFF = {"rope": False, "relu2": False, "zero_init": False, "untied": False, "previous": 0}
PLAIN_STEPS, PLAIN_BATCH = 2000, 12
PLAIN_EVALUATION = {"every": 250, "batches": 20}  # of each of both sides, at random places, as nanoGPT has it


def text() -> tuple[np.ndarray, int, str]:
    """Character ids (uint16), their number of different ones, and a hash of the text.

    Raises:
        MissingArtifact: notebook 01 has not cleaned the books here, or with another profile.
    """
    side = {row["id"]: row["text"] for rows in mrclean.read_corpus(profile.load().name).values() for row in rows}
    names = [f"shakespeare/shkspr/{book}_gut" for book in BOOKS]
    if missing := [name for name in names if name not in side]:
        raise paths.MissingArtifact(
            f"the corpus lacks {', '.join(missing)}; the benchmark needs the laptop profile's: "
            "python -m helpers.run --only 01"
        )
    whole = "\n\n".join(side[name] for name in names)
    letters = {letter: i for i, letter in enumerate(sorted(set(whole)))}
    return np.array([letters[letter] for letter in whole], dtype=np.uint16), len(letters), paths.sha256(whole)


def split(ids: np.ndarray, tuning: bool = False) -> tuple[np.ndarray, np.ndarray]:
    """What to train on and what to measure on; while tuning, the last tenth stays out of both."""
    end = round(0.9 * len(ids)) if tuning else len(ids)
    cut = round(0.8 * len(ids)) if tuning else round(0.9 * len(ids))
    return ids[:cut], ids[cut:end]


def plain_recipe(steps: int = PLAIN_STEPS, seed: int = 1, **changed) -> Recipe:
    settings = {
        "max_iters": steps,
        "batch_size": PLAIN_BATCH,
        "learning_rate": 1e-3,
        "eval_interval": steps,
        "warmup_fraction": 100 / PLAIN_STEPS,
        "cosine": True,
        "final_fraction": 0.1,
        "betas": (0.9, 0.99),
        "seed": seed,
    }
    return Recipe(**{**settings, **changed})


def fast_recipe(steps: int, seed: int = 1, **changed) -> Recipe:
    """`recipe.fast`, with the sizes of the race."""
    sizes = dataclasses.replace(profile.Gpt(), max_iters=steps, batch_size=FAST_BATCH, eval_interval=steps)
    return dataclasses.replace(training.fast(sizes, seed), eval_batches=0, **changed)


def plain_config(vocab_size: int, **changed) -> gpt.FastConfig:
    """The plain model as the fast one with every switch off: the same numbers, and each switch can be turned on."""
    return tried.config(vocab_size, **{**SHAPE, "n_head": 4, **OFF, **changed})


def fast_config(vocab_size: int, **changed) -> gpt.FastConfig:
    return tried.config(vocab_size, **{**SHAPE, "n_head": FAST_HEADS, **changed})


# The best trials of `make bench ARGS=tune`, rounded; the numbers of steps, after an earlier race, so that its target is
# met with a little to spare. The fast batch is larger than the trial's, which counted characters: a step of 24 windows
# takes far less than twice the time of 12.
FAST_BATCH, FAST_HEADS, FAST_STEPS = 24, 2, 92
TUNED = {"learning_rate": 3.2e-3, "warmup_fraction": 0.02, "weight_decay": 0.0}
TUNED_STEPS = 1250


SHORT = 0.4  # of the steps


class Short(training.Trainer):
    """Half the context, in twice as many windows, for the first part of the steps."""

    def batch(self):
        x, y = super().batch()
        if self.step >= SHORT * self.recipe.max_iters:
            return x, y
        half = x.shape[1] // 2
        return x.reshape(-1, half), y.reshape(-1, half)


class FiveRounds(training.Trainer):
    """Five of Muon's rounds, which is torch's default."""

    def __init__(self, *given):
        super().__init__(*given)
        for group in self.optimizers[1].param_groups:
            group["ns_steps"] = 5


def run(config, recipe: Recipe, sides, machine: hardware.Hardware, kind=training.Trainer) -> dict:
    """Train, and measure on all of the validation side.

    Returns:
        val_loss (nats per character), train_seconds, eval_seconds, model.
    """
    train, val = sides
    began = time.perf_counter()
    hardware.seed_everything(recipe.seed)
    trainer = kind(tried.make(config), train, recipe, machine)
    while trainer.step < recipe.max_iters:
        trainer.advance()
    trained = time.perf_counter()
    loss = training.evaluate(trainer.model, val, machine, 256)
    seconds = {"train_seconds": trained - began, "eval_seconds": time.perf_counter() - trained}
    return {"val_loss": loss, **seconds, "model": trainer.model}


def run_plainly(config, recipe: Recipe, sides, machine: hardware.Hardware, judge: hardware.Hardware) -> dict:
    """`run`, with the evaluations on the way that nanoGPT's recipe has: random batches of both sides."""
    began = time.perf_counter()
    hardware.seed_everything(recipe.seed)
    trainer = training.Trainer(tried.make(config), sides[0], recipe, machine)
    evaluating = 0.0
    while trainer.step < recipe.max_iters:
        if trainer.step % PLAIN_EVALUATION["every"] == 0:
            started = time.perf_counter()
            for side in sides:
                for i in range(PLAIN_EVALUATION["batches"]):
                    look(trainer, side, i)
            evaluating += time.perf_counter() - started
        trainer.advance()
    trained = time.perf_counter()
    loss = training.evaluate(trainer.model, sides[1], judge, 256)
    seconds = {"train_seconds": trained - began - evaluating, "eval_seconds": evaluating}
    return {"val_loss": loss, **seconds, "model": trainer.model}


def look(trainer: training.Trainer, side: np.ndarray, i: int) -> float:
    """The loss of one random batch, without gradients."""
    import torch

    x, y = training.batch(side, trainer.recipe, 10**6 + i, trainer.model.config.block_size)
    device = trainer.machine.device
    with torch.no_grad():
        return trainer.model(x.to(device), y.to(device))[1].item()


def machine() -> hardware.Hardware:
    return hardware.known() or hardware.probe()


def one_thread() -> None:
    """For processes that train side by side: small matrices do not share two cores well."""
    import torch

    torch.set_num_threads(1)
