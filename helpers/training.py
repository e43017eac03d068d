"""Train a GPT on a shard of token ids: batches, schedule, optimizer, evaluation, and the loop around them.

The loop is the plain recipe of GPT-3 and nanoGPT: AdamW, warm-up and decay of the learning rate, clipped gradients.
Every random choice comes from (seed, step), so step 700 sees the same batch whether or not the steps before it ran.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch

from . import hardware, paths
from .bpe import Tokenizer
from .gpt import GPT


class NonFiniteLoss(FloatingPointError):
    """The loss or the gradient is no longer a number; the message names the step and what to change."""


@dataclass(frozen=True)
class Recipe:
    """How a model is trained; the learning rate is its peak.

    Raises:
        ValueError: for an impossible value, with what is allowed.
    """

    max_iters: int
    batch_size: int  # sequences in a step
    learning_rate: float
    eval_interval: int  # steps between two evaluations
    eval_tokens: int = 0  # of the validation shard, spread evenly over it; 0 means all
    warmup_fraction: float = 0.1
    weight_decay: float = 0.1
    betas: tuple[float, float] = (0.9, 0.95)
    max_norm: float = 1.0  # of the gradient, which is scaled down to it
    seed: int = 1337

    def __post_init__(self):
        for name in ("max_iters", "batch_size", "eval_interval"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}; it must be at least 1")
        for name in ("learning_rate", "max_norm"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name} is {getattr(self, name)}; it must be greater than 0")
        for name in ("eval_tokens", "weight_decay", "seed"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} is {getattr(self, name)}; it must be 0 or more")
        if not 0 <= self.warmup_fraction < 1:
            raise ValueError(f"warmup_fraction is {self.warmup_fraction}; it must be at least 0 and less than 1")


def batch(ids: np.ndarray, recipe: Recipe, step: int, block_size: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Inputs and targets of `step`, both (batch_size, block_size) int64: windows at random places of the shard.

    The targets are the inputs one token later. Only the windows are read: a shard may be far larger than memory.

    Raises:
        ValueError: the shard is shorter than one window.
    """
    if len(ids) < block_size + 1:
        raise ValueError(f"the shard has {len(ids)} tokens, a window needs block_size + 1 = {block_size + 1}")
    chance = np.random.default_rng([recipe.seed, step])
    starts = chance.integers(0, len(ids) - block_size, size=recipe.batch_size)  # the last window ends with the shard
    windows = np.stack([ids[i : i + block_size + 1] for i in starts]).astype(np.int64)  # (B, T + 1)
    return torch.from_numpy(windows[:, :-1]), torch.from_numpy(windows[:, 1:])


def validation_batches(
    ids: np.ndarray, block_size: int, batch_size: int, tokens: int = 0
) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """Inputs and targets, side by side, that predict each token of the shard once (all but the very first).

    With `tokens`, only that many (rounded up to whole windows), spread evenly: the same ones at every call, so that
    two evaluations differ by the model alone.
    """
    starts = np.arange(0, len(ids) - 1, block_size)
    if tokens and len(starts) > (wanted := math.ceil(tokens / block_size)):
        starts = starts[np.linspace(0, len(starts) - 2, wanted).round().astype(int)]  # not the last, shorter one
    whole = starts[starts + block_size < len(ids)]
    groups = [whole[i : i + batch_size] for i in range(0, len(whole), batch_size)]
    groups += [starts[len(whole) :]] if len(whole) < len(starts) else []
    for group in groups:
        windows = np.stack([ids[i : i + block_size + 1] for i in group]).astype(np.int64)  # (B, T + 1)
        yield torch.from_numpy(windows[:, :-1]), torch.from_numpy(windows[:, 1:])


@torch.no_grad()
def evaluate(model: GPT, ids: np.ndarray, machine: hardware.Hardware, batch_size: int, tokens: int = 0) -> float:
    """Mean loss over the shard, or over a fixed part of it, in nats per token; no dropout, no chance."""
    was_training = model.training
    model.eval()
    total, count = 0.0, 0
    for x, y in validation_batches(ids, model.config.block_size, batch_size, tokens):
        with hardware.autocast(machine):
            loss = model(x.to(machine.device), y.to(machine.device))[1]
        total += loss.item() * y.numel()
        count += y.numel()
    model.train(was_training)
    return total / count


def bits_per_byte(loss: float, tokens: int, size: int) -> float:
    """A loss in nats per token as bits per byte of text, which no choice of tokenizer can flatter.

    Args:
        loss: mean loss over `tokens` tokens, in nats.
        tokens: number of tokens that were predicted.
        size: bytes of the text they stand for.
    """
    return loss * tokens / (math.log(2) * size)


def learning_rate(recipe: Recipe, step: int) -> float:
    """Up in a straight line over the warm-up, then down in a straight line to zero at the end."""
    warmup = round(recipe.warmup_fraction * recipe.max_iters)
    if step < warmup:
        return recipe.learning_rate * (step + 1) / warmup
    return recipe.learning_rate * (recipe.max_iters - step) / (recipe.max_iters - warmup)


def make_optimizer(model: torch.nn.Module, recipe: Recipe) -> torch.optim.AdamW:
    """AdamW that shrinks matrices only: a norm's scale has no reason to be near zero.

    Raises:
        AssertionError: a parameter that is in no group, or in two, would not be trained as meant.
    """
    trained = [p for p in model.parameters() if p.requires_grad]
    groups = [
        {"params": [p for p in trained if p.ndim >= 2], "weight_decay": recipe.weight_decay},
        {"params": [p for p in trained if p.ndim < 2], "weight_decay": 0.0},
    ]
    grouped = [id(p) for group in groups for p in group["params"]]
    if sorted(grouped) != sorted(id(p) for p in trained):
        raise AssertionError(f"{len(trained)} parameters to train, {len(grouped)} places in the optimizer's groups")
    # fused: one pass over memory instead of one per operation.
    return torch.optim.AdamW(groups, lr=recipe.learning_rate, betas=recipe.betas, fused=True)


class Trainer:
    """A model, its optimizer, and where they stand: `step` counts the steps done."""

    def __init__(self, model: GPT, ids: np.ndarray, recipe: Recipe, machine: hardware.Hardware):
        self.model = model.to(machine.device).train()
        self.ids = ids
        self.recipe = recipe
        self.machine = machine
        self.optimizer = make_optimizer(self.model, recipe)
        self.step = 0

    def advance(self) -> tuple[float, float]:
        """One step; returns the loss before it (nats per token) and the norm of the gradient before clipping.

        Raises:
            NonFiniteLoss: before the weights are touched, so they are still those of the last good step.
        """
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate(self.recipe, self.step)
        torch.manual_seed(self.recipe.seed * 1_000_003 + self.step)  # dropout's chance belongs to the step, too
        x, y = batch(self.ids, self.recipe, self.step, self.model.config.block_size)
        with hardware.autocast(self.machine):
            loss = self.model(x.to(self.machine.device), y.to(self.machine.device))[1]  # the logits can go
        self._check(loss.item(), "loss")
        loss.backward()
        norm = torch.nn.utils.clip_grad_norm_(self.model.parameters(), self.recipe.max_norm).item()
        self._check(norm, "norm of the gradient")
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)  # here, so that gradients and activations never share the peak
        self.step += 1
        return loss.item(), norm

    def _check(self, value: float, what: str) -> None:
        if not math.isfinite(value):
            self.optimizer.zero_grad(set_to_none=True)
            rate = learning_rate(self.recipe, self.step)
            raise NonFiniteLoss(
                f"the {what} is {value} at step {self.step}, learning rate {rate:.2g}; the weights are still those of "
                "the last good step. Lower learning_rate, or look at this step's batch"
            )


def train(
    trainer: Trainer, val_ids: np.ndarray, report: Callable[..., None], watch=None, look: Callable | None = None
) -> float:
    """Train to the recipe's last step; returns the seconds of the steps alone.

    Calls ``report(step, train_loss=, val_loss=, gradient_norm=, tokens_per_second=)`` at the start (the untrained
    model; no speed yet, so tokens_per_second is None), every eval_interval steps and at the end. train_loss and
    gradient_norm are means over the steps since the last report.

    Args:
        watch: a journal.Watch, told every step and every evaluation.
        look: called with the trainer before the first step and after every one, to ask what the model predicts by then.
    """
    recipe, model = trainer.recipe, trainer.model
    tokens = recipe.batch_size * model.config.block_size

    def validate() -> float:
        return evaluate(model, val_ids, trainer.machine, recipe.batch_size, recipe.eval_tokens)

    x, y = batch(trainer.ids, recipe, trainer.step, model.config.block_size)
    with torch.no_grad(), hardware.autocast(trainer.machine):
        first = model(x.to(trainer.machine.device), y.to(trainer.machine.device))[1].item()
    val_loss = validate()
    if watch:
        watch.evaluation(trainer.step, val_loss=val_loss)
    report(trainer.step, train_loss=first, val_loss=val_loss, gradient_norm=None, tokens_per_second=None)
    if look:
        look(trainer)
    seconds, since = 0.0, []
    while trainer.step < recipe.max_iters:
        if watch:
            watch.mark()
        rate, started = learning_rate(recipe, trainer.step), time.perf_counter()
        loss, norm = trainer.advance()  # .item() inside waits for the device, so the clock sees finished work
        since.append((loss, norm, time.perf_counter() - started))
        if watch:
            watch.step(trainer.step, loss, gradient_norm=norm, learning_rate=rate)
        if look:
            look(trainer)
        if trainer.step % recipe.eval_interval == 0 or trainer.step == recipe.max_iters:
            losses, norms, times = zip(*since, strict=True)
            if watch:
                watch.mark()
            val_loss = validate()
            if watch:
                watch.evaluation(trainer.step, val_loss=val_loss)
            report(
                trainer.step,
                train_loss=sum(losses) / len(losses),
                val_loss=val_loss,
                gradient_norm=sum(norms) / len(norms),
                tokens_per_second=tokens * len(since) / sum(times),
            )
            seconds, since = seconds + sum(times), []
    return seconds


def save_checkpoint(trainer: Trainer, folder: Path, profile: str, **facts) -> dict:
    """Write model, recipe and step into `folder`, closed by a manifest with `facts`; returns the manifest.

    The old manifest goes first: a folder that was only half replaced is one that nothing will read.
    """
    (folder / "manifest.json").unlink(missing_ok=True)
    trainer.model.save(folder)
    paths.write_json(folder / "state.json", {"step": trainer.step, "recipe": asdict(trainer.recipe)})
    return paths.write_manifest(folder, "03_gpt", profile, **facts)


def load_checkpoint(folder: Path, profile: str, tokenizer: Tokenizer) -> GPT:
    """The model that `save_checkpoint` kept, for use with `tokenizer`.

    Raises:
        MissingArtifact: unfinished, changed since it was made, or made with another profile.
        ValueError: weights that do not fit the configuration, or a tokenizer that is not the model's.
    """
    manifest = paths.read_manifest(folder, "03_gpt", profile)
    where = paths.relative(folder)
    tokenizer.check_hash(manifest.get("tokenizer_hash", ""), f"the weights in {where}")
    model = GPT.load(folder)
    if model.config.vocab_size < tokenizer.vocab_size:
        raise ValueError(
            f"the model in {where} knows {model.config.vocab_size} ids, the tokenizer has {tokenizer.vocab_size}"
        )
    return model
