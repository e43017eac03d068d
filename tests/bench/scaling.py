"""How the loss of a small GPT falls with text and with parameters, and how a fixed amount of arithmetic is best spent.

The text is the shards of notebook 02, the recipe the classic one of notebook 03 with three seeds. First the shape of
notebook 03 learns from growing parts of the text, each for as many steps, and its lowest validation loss counts: small
parts are learned by heart. A part is drawn in pieces from all of the text: the shards hold books first, then an
encyclopedia, then code, and their first half would be another kind of text than what is held out. Then models of five
widths share one budget of operations each (isoFLOP, Hoffmann et al., arXiv:2203.15556, approach 2): the wider, the
fewer steps. Each training is kept on disk, so a start that was killed goes on with the next one.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import statistics
import time

import numpy as np

from helpers import bpe, budget, gpt, hardware, journal, paths, plots, profile, shards, stats, training

from . import BENCHMARKS, arms

SEEDS = arms.SEEDS[:3]
PARTS = (1 / 32, 1 / 16, 1 / 8, 1 / 4, 1 / 2, 1)  # of the training shard
PIECE = 1024  # tokens
STEPS, LOOKS = 1600, 16  # with growing text; evaluations on the way
WIDTHS = (32, 64, 96, 160, 256)
BUDGETS = (1e12, 4e12)  # floating-point operations
BATCH = 16
EVALUATED = 64  # batches of the validation shard


def main(arguments: list[str]) -> int:
    argparse.ArgumentParser(prog="make bench ARGS=scaling", description=__doc__.splitlines()[0]).parse_args(arguments)
    settings = dataclasses.replace(profile.load().gpt, batch_size=BATCH, eval_batches=EVALUATED)
    folder = paths.artifacts("tokenizer")
    manifest = paths.read_manifest(folder, shards.MADE_BY, profile.load().name)
    tokenizer = bpe.load_tokenizer(folder)
    train, val = (shards.read(folder, side, tokenizer)[0] for side in ("train", "val"))
    size = manifest["bytes"]["val"]
    config = {**vars(settings), "steps": STEPS, "parts": PARTS, "piece": PIECE, "widths": WIDTHS, "budgets": BUDGETS,
              "seeds": SEEDS}  # fmt: skip
    for unused in ("max_iters", "eval_interval", "n_embd"):
        del config[unused]
    run = journal.start(BENCHMARKS["scaling"], config=config, seed=SEEDS[0], data_hash=manifest["data_hash"][:16])
    run.predict("bits_per_byte_all_text", 2.2, unit="bits/byte")
    run.predict("best_grows", 2.0, unit="times")  # the best size, with four times the operations: by their square root
    made = Made(settings, tokenizer.vocab_size, val, hardware.load(), len(val) - 1, size, manifest["data_hash"])
    text(run, dataclasses.replace(made, data=f"{made.data} in pieces"), mixed(train))
    compute(run, made, train)
    finish(run)
    return 0


@dataclasses.dataclass(frozen=True)
class Made:
    """Trains, or finds what an earlier start has trained."""

    settings: profile.Gpt
    vocab_size: int
    val: np.ndarray
    machine: hardware.Hardware
    tokens: int  # of the validation shard that are predicted, and the bytes that they stand for
    size: int
    data: str

    def shape(self, width: int) -> gpt.GPTConfig:
        fixed = {key: getattr(self.settings, key) for key in ("block_size", "n_layer", "n_head", "dropout")}
        return gpt.GPTConfig(self.vocab_size, n_embd=width, **fixed)

    def trained(self, ids: np.ndarray, width: int, steps: int, every: int, seed: int) -> list[float]:
        """Bits per byte of the validation shard, before the first step, every `every` steps and after the last."""
        what = [vars(self.settings), self.data, len(ids), width, steps, every, seed, self.machine.dtype]
        place = paths.artifacts("bench", "scaling", f"{paths.sha256(json.dumps(what))[:16]}.json")
        if place.is_file():
            return paths.read_json(place)["bits_per_byte"]
        began = time.perf_counter()
        hardware.seed_everything(seed)
        sizes = dataclasses.replace(self.settings, max_iters=steps, eval_interval=every)
        trainer = training.Trainer(gpt.make(self.shape(width)), ids, training.classic(sizes, seed), self.machine)
        training.train_model(trainer, self.val)
        losses = [training.bits_per_byte(one.val_loss, self.tokens, self.size) for one in trainer.evaluations]
        paths.write_json(place, {"bits_per_byte": losses, "seconds": time.perf_counter() - began})
        print(f"{len(ids):,} tokens of text, width {width}, {steps} steps, seed {seed}: {min(losses):.3f}", flush=True)
        return losses


def mixed(ids: np.ndarray) -> np.ndarray:
    """The same text in pieces, in a random order that is always the same."""
    pieces = np.split(ids, range(PIECE, len(ids), PIECE))
    return np.concatenate([pieces[i] for i in np.random.default_rng(0).permutation(len(pieces))])


def text(run, made: Made, train: np.ndarray) -> None:
    """Part by part of the text: the lowest loss on the way, mean and spread over the seeds, and the law's forecast."""
    sizes = [round(part * len(train)) for part in PARTS]
    width, every = made.settings.n_embd, STEPS // LOOKS
    lowest = np.array([[min(made.trained(train[:n], width, STEPS, every, seed)) for seed in SEEDS] for n in sizes])
    means, spread = lowest.mean(axis=1), lowest.std(axis=1, ddof=1)
    hidden = stats.fit_power_law(sizes[:-1], means[:-1])
    run.log(bits_per_byte_all_text=means[-1], unit="bits/byte", better="lower")
    run.log(sd_all_text=spread[-1], gain_of_last_doubling=means[-2] - means[-1], unit="bits/byte")
    run.log(
        forecast_all_text=float(hidden(sizes[-1])), as_the_doubling_before=2 * means[-2] - means[-3], unit="bits/byte"
    )
    law = stats.fit_power_law(sizes, means)
    run.log(text_exponent=law.exponent, unit="")
    run.log(text_floor=law.floor, unit="bits/byte")
    fig, ax = plots.figure(height=3.4)
    ax.errorbar(sizes, means, spread, marker="o", capsize=4, color=plots.COLORS["blue"])
    ax.set(xscale="log", xlabel="tokens of text (log scale)", ylabel="validation loss (bits per byte)")
    run.figure(
        "04_gpt_text", fig, data={"tokens": sizes, "mean": means, "sd": spread},
        alt="Lowest validation loss of a GPT against the tokens of text that it learns from, mean of three seeds: at "
        "{tokens:,.0f} tokens {mean:.3f} bits per byte.",
    )  # fmt: skip


def compute(run, made: Made, train: np.ndarray) -> None:
    """Width by width at equal operations: the loss after the last step, and where a parabola has its lowest point."""
    parameters = [sum(budget.parameters(made.shape(width)).values()) for width in WIDTHS]
    fig, ax = plots.figure(height=3.4)
    best, data = [], {"parameters": parameters}
    for flops, color in zip(BUDGETS, ("orange", "blue"), strict=True):
        steps = [max(1, round(flops / budget.flops_per_token(made.shape(width)) / BATCH / made.settings.block_size))
                 for width in WIDTHS]  # fmt: skip
        losses = np.array([
            [made.trained(train, width, n, n, seed)[-1] for seed in SEEDS]
            for width, n in zip(WIDTHS, steps, strict=True)
        ])  # fmt: skip
        means, spread = losses.mean(axis=1), losses.std(axis=1, ddof=1)
        name = f"{flops:.0e}".replace("e+", "e")
        best.append([lowest(parameters, one) for one in losses.T])
        run.log(**{f"best_parameters_{name}": statistics.geometric_mean(best[-1])}, unit="parameters")
        run.log(**{f"best_loss_{name}": float(means.min())}, unit="bits/byte", better="lower")
        data |= {f"steps_{name}": steps, f"mean_{name}": means, f"sd_{name}": spread}
        ax.errorbar(parameters, means, spread, marker="o", capsize=4, color=plots.COLORS[color])
        plots.label_line(ax, parameters, means, f"{name} operations", color=plots.COLORS[color])
    ratios = [after / before for before, after in zip(*best, strict=True)]
    run.log(best_grows=statistics.geometric_mean(ratios), unit="times")
    run.note("The best size with four times the operations, seed by seed: {r} times.",
             r=", ".join(f"{ratio:.2f}" for ratio in ratios))  # fmt: skip
    ax.set(xscale="log", xlabel="parameters (log scale)", ylabel="validation loss (bits per byte)")
    run.figure(
        "04_gpt_compute", fig, data=data,
        alt="Validation loss against parameters at two fixed amounts of arithmetic, mean of three seeds. Parameters "
        "{parameters:,.0f}; bits per byte with 1e12 operations {mean_1e12:.3f}, with 4e12 {mean_4e12:.3f}.",
    )  # fmt: skip


def lowest(parameters: list[int], losses: np.ndarray) -> float:
    """The size at the lowest point of a parabola through the losses, in the logarithm; at most the largest tried."""
    x = np.log(parameters)
    bent, slope, _ = np.polyfit(x, losses, 2)
    top = x[0] if np.polyval([bent, slope, 0], x[0]) < np.polyval([bent, slope, 0], x[-1]) else x[-1]
    return float(np.exp(np.clip(-slope / (2 * bent), x[0], x[-1]) if bent > 0 else top))


def finish(run) -> None:
    run.finish(
        verdict="From the whole text the GPT of notebook 03 comes to {bits_per_byte_all_text:.3f} bits per byte; the "
        "last doubling brought {gain_of_last_doubling:.3f} (sd over seeds {sd_all_text:.3f}). Without it, the power "
        "law says {forecast_all_text:.3f}, repeating the doubling before {as_the_doubling_before:.3f}. With four times "
        "the operations the best model has {best_grows:.2f} times the parameters.",
        decision="Notebook 04 shows this record.",
    )
