"""How a model is trained: a recipe, its learning rate at every step, and the optimizers it asks for.

Two recipes stand side by side: `classic`, AdamW as GPT-3 and nanoGPT have it, for `gpt.GPT`; and `fast`, Muon for the
matrices and a rate of their own for the tables, for `gpt.FastGPT`. Notebook 12 shows what each difference is worth.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch

OPTIMIZERS = ("adamw", "muon")
NEWTON_SCHULZ = 3  # Muon's iterations; torch's default is 5; `make bench ARGS=levers` has it as an arm


@dataclass(frozen=True)
class Recipe:
    """How a model is trained; learning rates are peaks.

    Raises:
        ValueError: for an impossible value, with what is allowed.
    """

    max_iters: int
    batch_size: int  # sequences in a step
    learning_rate: float  # of the matrices; of everything, where table_learning_rate is 0
    eval_interval: int  # steps between two evaluations
    eval_batches: int = 0  # of the validation shard, spread evenly over it; 0, or more than there are, means all
    accumulate: int = 1  # parts that a step's batch goes through the model in, for one that does not fit at once
    warmup_fraction: float = 0.1
    cooldown_fraction: float = 1.0  # of the steps after the warm-up, at their end
    cosine: bool = False  # the cooldown's shape; otherwise a straight line
    final_fraction: float = 0.0  # of the peak, where the cooldown ends
    optimizer: str = "adamw"  # of the matrices in the blocks; AdamW always has the rest
    table_learning_rate: float = 0.0  # of that rest: embeddings, head, scales
    weight_decay: float = 0.1
    betas: tuple[float, float] = (0.9, 0.95)  # of AdamW
    momentum: float = 0.95  # of Muon
    max_norm: float = 1.0  # of the gradient, which is scaled down to it
    seed: int = 1337

    def __post_init__(self):
        for name in ("max_iters", "batch_size", "eval_interval", "accumulate"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}; it must be at least 1")
        if self.batch_size % self.accumulate:
            raise ValueError(f"accumulate is {self.accumulate}, which does not divide batch_size {self.batch_size}")
        for name in ("learning_rate", "max_norm"):
            if not 0 < getattr(self, name) < math.inf:
                raise ValueError(f"{name} is {getattr(self, name)}; it must be greater than 0")
        for name in ("eval_batches", "weight_decay", "seed", "table_learning_rate"):
            if not 0 <= getattr(self, name) < math.inf:
                raise ValueError(f"{name} is {getattr(self, name)}; it must be 0 or more")
        if not all(0 <= beta < 1 for beta in self.betas):
            raise ValueError(f"betas are {self.betas}; each must be at least 0 and less than 1")
        for name in ("warmup_fraction", "momentum"):
            if not 0 <= getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}; it must be at least 0 and less than 1")
        for name in ("cooldown_fraction", "final_fraction"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} is {getattr(self, name)}; it must be between 0 and 1")
        if self.optimizer not in OPTIMIZERS:
            raise ValueError(f"optimizer is {self.optimizer!r}; it must be one of {', '.join(OPTIMIZERS)}")


def classic(settings, seed: int = 1337) -> Recipe:
    """The recipe of a profile (``profile.Gpt``); that of ``gpu`` is the asked-for one to the letter.

    What the letter leaves open: learning rate up over a tenth of the steps and down to zero, AdamW and clipping as in
    GPT-3 (arXiv:2005.14165, appendix B); and the evaluation's batches lie evenly spread instead of drawn anew, so that
    two evaluations differ by the model alone.
    """
    return Recipe(**_sizes(settings), learning_rate=settings.learning_rate, seed=seed)


def fast(settings, seed: int = 1337) -> Recipe:
    """The same steps, batches and evaluations, with Muon and settings from the trials of `make bench ARGS=tune`.

    Muon (Jordan et al. 2024) turns each matrix's momentum into its nearest orthogonal matrix, so one learning rate
    fits every width. The tables take a rate of their own, because a row learns only from the few tokens it stands for.
    The rates go down to zero in a straight line, from the first step on.
    """
    return Recipe(
        **_sizes(settings),
        optimizer="muon",
        learning_rate=0.025,
        table_learning_rate=0.02,
        warmup_fraction=0.0,
        momentum=0.9,
        weight_decay=0.0,
        betas=(0.8, 0.95),
        seed=seed,
    )


def _sizes(settings) -> dict[str, int]:
    return {name: getattr(settings, name) for name in ("max_iters", "batch_size", "eval_interval", "eval_batches")}


def schedule(recipe: Recipe, step: int) -> float:
    """The share of its peak that every learning rate has at `step`.

    Up in a straight line over the warm-up; the peak; then down over the cooldown, in a straight line or as a cosine.
    Steps beyond the last, as when the time of a few is measured, have what the cooldown ends with.
    """
    warmup = round(recipe.warmup_fraction * recipe.max_iters)
    if step < warmup:
        return (step + 1) / warmup
    cooldown = round(recipe.cooldown_fraction * (recipe.max_iters - warmup))
    left = min(1.0, max(0, recipe.max_iters - step) / cooldown) if cooldown else 1.0
    if recipe.cosine:
        left = 0.5 * (1 - math.cos(math.pi * left))
    return recipe.final_fraction + (1 - recipe.final_fraction) * left


def learning_rate(recipe: Recipe, step: int) -> float:
    """That of the matrices, at `step`."""
    return recipe.learning_rate * schedule(recipe, step)


def make_optimizers(model: torch.nn.Module, recipe: Recipe, dtype: str = "float32") -> list[torch.optim.Optimizer]:
    """AdamW, and Muon for the blocks' matrices where the recipe asks for it, which multiplies in `dtype`.

    A table in a block is none of its matrices: few of its rows have a gradient in a step, and Muon would move all.
    AdamW shrinks matrices only: a norm's scale has no reason to be near zero. Each group keeps its peak as "peak".

    Raises:
        AssertionError: a parameter that is in no group, or in two, would not be trained as meant.
    """
    trained = {name: p for name, p in model.named_parameters() if p.requires_grad}
    tables = {id(module.weight) for module in model.modules() if isinstance(module, torch.nn.Embedding)}
    matrices = [p for name, p in trained.items() if name.startswith("blocks.") and p.ndim == 2 and id(p) not in tables]
    chosen = {id(p) for p in matrices}
    rest = [p for p in trained.values() if id(p) not in chosen]
    rate, table_rate = recipe.learning_rate, recipe.table_learning_rate or recipe.learning_rate
    groups = [
        {"params": [p for p in rest if p.ndim >= 2], "lr": table_rate, "weight_decay": recipe.weight_decay},
        {"params": [p for p in rest if p.ndim < 2], "lr": table_rate, "weight_decay": 0.0},
    ]
    optimizers: list[torch.optim.Optimizer] = []
    if recipe.optimizer == "muon":
        from .muon import Muon

        how = {"weight_decay": recipe.weight_decay, "momentum": recipe.momentum, "ns_steps": NEWTON_SCHULZ}
        optimizers.append(Muon(matrices, lr=rate, dtype=getattr(torch, dtype), **how))
    else:
        groups.insert(0, {"params": matrices, "lr": rate, "weight_decay": recipe.weight_decay})
    groups = [group for group in groups if group["params"]]
    # fused: one pass over memory instead of one per operation.
    optimizers.insert(0, torch.optim.AdamW(groups, betas=recipe.betas, fused=True))
    grouped = [id(p) for optimizer in optimizers for group in optimizer.param_groups for p in group["params"]]
    if sorted(grouped) != sorted(id(p) for p in trained.values()):
        raise AssertionError(f"{len(trained)} parameters to train, {len(grouped)} places in the optimizers' groups")
    for optimizer in optimizers:
        for group in optimizer.param_groups:
            group["peak"] = group["lr"]
    return optimizers
