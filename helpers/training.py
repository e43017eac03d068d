"""Train a GPT on a shard of token ids: batches, evaluation, and the loop around them. How, is what a `Recipe` says.

Every random choice comes from (seed, step), so step 700 sees the same batch whether or not the steps before it ran.
"""

from __future__ import annotations

import copy
import math
import mmap
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from . import hardware, paths
from .gpt import GPT, FastGPT
from .recipe import Recipe, classic, fast, learning_rate, make_optimizers, schedule

__all__ = ["Recipe", "classic", "fast", "learning_rate"]  # of `recipe`, so that a notebook needs one import

# How far logits may be from those of float32 on a CPU, as a share of their standard deviation. bfloat16 keeps 8 bits.
PARITY = {"float32": 1e-3, "bfloat16": 0.1}


class NonFiniteLoss(FloatingPointError):
    """The loss or the gradient is no longer a number; the message names the step and what to change."""


def batch(ids: np.ndarray, recipe: Recipe, step: int, block_size: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Inputs and targets of `step`, both (batch_size, block_size) int64: windows at random places of the shard.

    The targets are the inputs one token later. Only the windows are read: a shard may be far larger than memory.
    A memory-mapped shard is mapped anew for each batch, because pages count as this process's memory while they are
    mapped: a long training would seem to need as much as the shard has.

    Raises:
        ValueError: the shard is shorter than one window.
    """
    if len(ids) < block_size + 1:
        raise ValueError(f"the shard has {len(ids)} tokens, a window needs block_size + 1 = {block_size + 1}")
    if isinstance(ids, np.memmap) and isinstance(ids.base, mmap.mmap):  # the whole map: a slice has another base
        ids = np.memmap(ids.filename, dtype=ids.dtype, mode="r", offset=ids.offset, shape=ids.shape)
    chance = np.random.default_rng([recipe.seed, step])
    starts = chance.integers(0, len(ids) - block_size, size=recipe.batch_size)  # the last window ends with the shard
    windows = np.stack([ids[i : i + block_size + 1] for i in starts]).astype(np.int64)  # (B, T + 1)
    return torch.from_numpy(windows[:, :-1]), torch.from_numpy(windows[:, 1:])


def validation_batches(
    ids: np.ndarray, block_size: int, batch_size: int, batches: int = 0
) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """Inputs and targets, side by side, that predict each token of the shard once (all but the very first).

    With `batches`, only that many, their windows spread evenly: the same ones at every call, so that two evaluations
    differ by the model alone.
    """
    starts = np.arange(0, len(ids) - 1, block_size)
    if batches and len(starts) > (wanted := batches * batch_size):
        starts = starts[np.linspace(0, len(starts) - 2, wanted).round().astype(int)]  # not the last, shorter one
    whole = starts[starts + block_size < len(ids)]
    groups = [whole[i : i + batch_size] for i in range(0, len(whole), batch_size)]
    groups += [starts[len(whole) :]] if len(whole) < len(starts) else []
    for group in groups:
        windows = np.stack([ids[i : i + block_size + 1] for i in group]).astype(np.int64)  # (B, T + 1)
        yield torch.from_numpy(windows[:, :-1]), torch.from_numpy(windows[:, 1:])


@torch.no_grad()
def evaluate(
    model: GPT | FastGPT, ids: np.ndarray, machine: hardware.Hardware, batch_size: int, batches: int = 0
) -> float:
    """Mean loss over the shard, or over a fixed part of it, in nats per token; no dropout, no chance."""
    was_training = model.training
    model.eval()
    total, count = 0.0, 0
    for x, y in validation_batches(ids, model.config.block_size, batch_size, batches):
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


@torch.no_grad()
def check_parity(model: GPT | FastGPT, idx: torch.Tensor, machine: hardware.Hardware) -> dict[str, float | str]:
    """Whether the machine's device, in the dtype it computes in, gives the logits of float32 on the CPU.

    Worth asking before anything is trained there: a wrong kernel trains, too, only worse. It is asked of a copy whose
    matrices of zeros have random numbers: a head that begins at zero would hide all that comes before it.

    Args:
        idx: (B, T) int64 token ids on the CPU.

    Returns:
        device, dtype, the largest difference of two logits, and the standard deviation of all logits.

    Raises:
        AssertionError: the difference is more than PARITY allows.
    """
    here = copy.deepcopy(model).cpu().float().eval()
    chance = torch.Generator().manual_seed(0)
    for p in here.parameters():
        if p.ndim >= 2 and not p.any():
            p.normal_(std=p.shape[-1] ** -0.5, generator=chance)
    there = copy.deepcopy(here).to(machine.device)
    with hardware.autocast(machine):
        ours = there(idx.to(machine.device))[0].float().cpu()  # (B, T, V)
    reference = here(idx)[0]
    largest, spread = (ours - reference).abs().max().item(), reference.std().item()
    if not largest <= PARITY[machine.dtype] * spread:
        raise AssertionError(
            f"logits in {machine.dtype} on {machine.device} are up to {largest:.3g} from those in float32 on the CPU, "
            f"whose standard deviation is {spread:.3g}; at most {PARITY[machine.dtype]:.1%} of it is rounding. Do not "
            "train here: update driver and torch, or train on the CPU"
        )
    return {"device": machine.device, "dtype": machine.dtype, "largest": largest, "spread": spread}


@dataclass(frozen=True)
class Evaluation:
    """One evaluation: after how many steps, and the loss in nats per token."""

    step: int
    val_loss: float


class Trainer:
    """A model, its optimizers, and where they stand; `checkpoint` keeps all of it.

    Attributes:
        step: the steps done.
        losses, norms: of every step, before the step was made: loss in nats per token, gradient norm before clipping.
        evaluations: what `train` has measured on the validation shard.
        seconds: that the steps took, those of earlier processes included.
    """

    def __init__(self, model: GPT | FastGPT, ids: np.ndarray, recipe: Recipe, machine: hardware.Hardware):
        self.model = model.to(machine.device).train()
        self.ids = ids
        self.recipe = recipe
        self.machine = machine
        self.optimizers = make_optimizers(self.model, recipe, machine.dtype)
        self.step = 0
        self.losses: list[float] = []
        self.norms: list[float] = []
        self.evaluations: list[Evaluation] = []
        self.seconds = 0.0

    def batch(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Inputs and targets of the next step, see `batch`."""
        return batch(self.ids, self.recipe, self.step, self.model.config.block_size)

    def advance(self) -> tuple[float, float]:
        """One step; returns the loss before it (nats per token) and the norm of the gradient before clipping.

        Raises:
            NonFiniteLoss: before the weights are touched.
        """
        share = schedule(self.recipe, self.step)
        for optimizer in self.optimizers:
            for group in optimizer.param_groups:
                group["lr"] = group["peak"] * share
        torch.manual_seed(self.recipe.seed * 1_000_003 + self.step)  # dropout's chance belongs to the step, too
        x, y = self.batch()
        total, parts = 0.0, self.recipe.accumulate
        for part_x, part_y in zip(x.chunk(parts), y.chunk(parts), strict=True):
            with hardware.autocast(self.machine):
                loss = self.model(part_x.to(self.machine.device), part_y.to(self.machine.device))[1]
            total += loss.item() / parts
            self._check(total, "loss")
            (loss / parts).backward()  # gradients add up: parts of equal size give that of the whole batch
        norm = torch.nn.utils.clip_grad_norm_(self.model.parameters(), self.recipe.max_norm).item()
        self._check(norm, "norm of the gradient")
        for optimizer in self.optimizers:
            optimizer.step()
        self.model.zero_grad()  # here, so that gradients and activations never share the peak
        self.step += 1
        self.losses.append(total)
        self.norms.append(norm)
        return total, norm

    def _check(self, value: float, what: str) -> None:
        if not math.isfinite(value):
            self.model.zero_grad()
            rate = learning_rate(self.recipe, self.step)
            raise NonFiniteLoss(
                f"the {what} is {value} at step {self.step}, learning rate {rate:.2g}; this step changed nothing. "
                "Lower learning_rate, or look at this step's batch"
            )


def train_model(
    trainer: Trainer,
    val_ids: np.ndarray,
    report: Callable[..., None] | None = None,
    watch=None,
    look: Callable[[Trainer], None] | None = None,
    save: Callable[[Trainer], Path] | None = None,
) -> None:
    """Train from where the trainer stands to the recipe's last step.

    Evaluates at the start (the untrained model), every eval_interval steps and at the end.

    Args:
        report: called as ``report(step, train_loss=, val_loss=, gradient_norm=, tokens_per_second=)`` after every
            evaluation. train_loss and gradient_norm are means over the steps since the one before; at the start,
            train_loss is that of the first batch, and there is neither a norm nor a speed (None).
        watch: a journal.Watch, told every step, evaluation and checkpoint.
        look: called with the trainer before the first step and after every one (and its evaluation), to ask what the
            model predicts by then.
        save: keeps a checkpoint and returns its place; called after every evaluation but the first.

    Raises:
        NonFiniteLoss: as `Trainer.advance`, or the validation loss is no number; says which checkpoint is the last.
    """
    recipe, place, since = trainer.recipe, None, []
    try:
        if not trainer.evaluations:
            _evaluate_and_tell(trainer, val_ids, report, watch, since)
        if look:
            look(trainer)
        while trainer.step < recipe.max_iters:
            if watch:
                watch.mark()
            rate, started = learning_rate(recipe, trainer.step), time.perf_counter()
            loss, norm = trainer.advance()  # .item() inside waits for the device, so the clock sees finished work
            since.append(time.perf_counter() - started)
            trainer.seconds += since[-1]
            if watch:
                watch.step(trainer.step, loss, gradient_norm=norm, learning_rate=rate)
            if trainer.step % recipe.eval_interval == 0 or trainer.step == recipe.max_iters:
                _evaluate_and_tell(trainer, val_ids, report, watch, since)
                since = []
                if save:
                    place = save(trainer)
                    if watch:
                        watch.checkpoint(trainer.step, place)
            if look:
                look(trainer)
    except NonFiniteLoss as error:
        kept = f"the last good checkpoint is {paths.relative(place)}" if place else "this process kept no checkpoint"
        raise NonFiniteLoss(f"{error}; {kept}") from error


def _evaluate_and_tell(trainer: Trainer, val_ids: np.ndarray, report, watch, since: list[float]) -> None:
    """One evaluation of `train`; `since` are the seconds of the steps of this process after the one before."""
    recipe, model, machine = trainer.recipe, trainer.model, trainer.machine
    before = trainer.evaluations[-1].step if trainer.evaluations else 0
    losses, norms = trainer.losses[before:], trainer.norms[before:]
    if watch:
        watch.mark()
    if not losses:
        x, y = trainer.batch()
        with torch.no_grad(), hardware.autocast(machine):
            losses = [model(x.to(machine.device), y.to(machine.device))[1].item()]
    val_loss = evaluate(model, val_ids, machine, recipe.batch_size, recipe.eval_batches)
    if not math.isfinite(val_loss):
        raise NonFiniteLoss(f"the validation loss is {val_loss} after step {trainer.step}; lower learning_rate")
    trainer.evaluations.append(Evaluation(trainer.step, val_loss))
    if watch:
        watch.evaluation(trainer.step, val_loss=val_loss)
    if report:
        tokens = recipe.batch_size * model.config.block_size
        report(
            trainer.step,
            train_loss=sum(losses) / len(losses),
            val_loss=val_loss,
            gradient_norm=sum(norms) / len(norms) if norms else None,
            tokens_per_second=tokens * len(since) / sum(since) if since else None,
        )
