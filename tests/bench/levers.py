"""What each part of the fast recipe is worth, in characters to the same loss and in seconds per character.

    leave one out   the fast recipe without the part: how many more characters to the race's target
    add one         the plain recipe with the part, after a quarter of its steps: how many characters the plain recipe,
                    whole trainings of several lengths, needs for the same loss

Five seeds an arm, the same ones; a schedule ends with its training, so every length is a training of its own. The
length to the target lies between two lengths, a factor of 1.41 apart, and is interpolated in the logarithm. These
trainings run side by side, one thread each: what they take in time says nothing. Seconds per character are timed
apart, an arm and its base in turn in one process. The two factors multiply; those of different parts do not. Nothing
is tuned again after a part is taken out, except that Muon is also replaced by AdamW at half and at twice the rate: a
row can overstate a part that the rates were chosen for.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import math
import multiprocessing
import statistics
import subprocess
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np

from helpers import gpt, hardware, journal, plots, stats, training

from . import BENCHMARKS, arms, temporary, tried

ADDED_STEPS = 500  # of add one, with batches as large as the plain recipe's
PLAIN_LENGTHS = (354, 500, 707, 1000, 1414, 2000)
LENGTHS = tuple(round(arms.FAST_STEPS * 2 ** (k / 2)) for k in range(-3, 7))
ROUNDS, TIMED = 5, 6

ADAMW = {"optimizer": "adamw", "learning_rate": 3e-3}  # of the matrices; tables keep their rate
NANO_SCHEDULE = {"warmup_fraction": 0.05, "cooldown_fraction": 1.0, "cosine": True, "final_fraction": 0.1}
# name: (changes of the configuration, changes of the recipe)
WITHOUT = {
    "tables of earlier tokens": ({"previous": 0}, {}),
    "RoPE": ({"rope": False}, {}),
    "ReLU²": ({"relu2": False}, {}),
    "zero start": ({"zero_init": False}, {}),
    "head of its own": ({"untied": False}, {}),
    "Muon": ({}, ADAMW),
    "Muon for slower AdamW": ({}, {**ADAMW, "learning_rate": ADAMW["learning_rate"] / 2}),
    "Muon for quicker AdamW": ({}, {**ADAMW, "learning_rate": ADAMW["learning_rate"] * 2}),
    "schedule": ({}, NANO_SCHEDULE),
    "fewer heads": ({"n_head": 4}, {}),
    "larger batch": ({}, {"batch_size": 12}),
}
WITH = {  # not in the fast recipe
    "QK-norm": ({"qk_norm": True}, {}),
    "value embeddings": ({"value_embeddings": True}, {}),
    "bigram table": ({"bigram": True}, {}),
    "weight decay": ({}, {"weight_decay": 0.1}),
    "warm-up": ({}, {"warmup_fraction": 0.1}),
    "five rounds of Muon": ({}, {"kind": arms.FiveRounds}),
    "short context first": ({}, {"kind": arms.Short}),
}
MUON = {"optimizer": "muon", "learning_rate": 0.02, "table_learning_rate": 1e-3, "weight_decay": 0.0}
ADDED = {
    "tables of earlier tokens": ({"previous": 3}, {}),
    "RoPE": ({"rope": True}, {}),
    "ReLU²": ({"relu2": True}, {}),
    "zero start": ({"zero_init": True}, {}),
    "head of its own": ({"untied": True}, {}),
    "Muon": ({}, MUON),
    "schedule": ({}, {"warmup_fraction": 0.0, "cosine": False, "final_fraction": 0.0}),
    "tuned rates": ({}, arms.TUNED),
    "fewer heads": ({"n_head": 2}, {}),
    "larger batch": ({}, {"batch_size": 24}),
    "QK-norm": ({"qk_norm": True}, {}),
    "value embeddings": ({"value_embeddings": True}, {}),
    "bigram table": ({"bigram": True}, {}),
    "short context first": ({}, {"kind": arms.Short}),
}
# The same numbers up to rounding from other machinery: only seconds change.
MACHINERY = (
    "float32",
    "flash kernel",
    "heads in a loop",
    "optimizer not fused",
    "Muon of torch",
    "compiled",
)


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="make bench ARGS=levers", description=__doc__.splitlines()[0])
    parser.parse_args(arguments)
    ids, letters, data_hash = arms.text()
    target = race_target()
    config = {"books": arms.BOOKS, "seeds": len(arms.SEEDS), "fast_steps": arms.FAST_STEPS, "target": target}
    config |= {"batch_size": arms.FAST_BATCH, "added_steps": ADDED_STEPS, "plain_lengths": PLAIN_LENGTHS}
    run = journal.start(BENCHMARKS["levers"], config=config, data_hash=data_hash[:16])
    run.predict("fast_characters", 110_000, unit="characters")
    run.predict("worth_fast_Muon", 1.4, unit="times")
    with temporary() as folder:
        np.save(Path(folder) / "ids.npy", ids)
        spawn = multiprocessing.get_context("spawn")
        cores, given = hardware.usable_cores(), (folder, letters, target)
        with ProcessPoolExecutor(cores, mp_context=spawn, initializer=prepare, initargs=given) as pool:
            fast = lengths(run, pool)
            plain, added = additions(run, pool)
        ratios = timings(run, folder, letters)
        evaluations(run, folder, letters)
    table = judge(run, fast, plain, added, ratios, target)
    draw(run, table)
    conclude(run, table)
    return 0


def race_target() -> float:
    """The target of the newest race in this journal."""
    races = [race["metrics"] for race in journal.finished("bench_race", "laptop") if "target" in race["metrics"]]
    if not races:
        raise SystemExit("error: the journal has no finished race, whose target the levers are measured by: "
                         "make bench ARGS=race")  # fmt: skip
    return races[-1]["target"]["final"]


def prepare(folder: str, letters: int, target: float) -> None:
    """Once in every process."""
    global sides, vocabulary, wanted
    arms.one_thread()
    sides, vocabulary, wanted = arms.split(np.load(Path(folder) / "ids.npy")), letters, target


def fast_loss(name: str, seed: int, steps: int) -> float:
    """Validation loss of the fast recipe without the part, or with one more; `steps` of the fast batch size."""
    shape, changed = {**WITHOUT, **WITH, "fast": ({}, {})}[name]
    changed = dict(changed)
    kind = changed.pop("kind", training.Trainer)
    batch = changed.pop("batch_size", arms.FAST_BATCH)
    recipe = arms.fast_recipe(round(steps * arms.FAST_BATCH / batch), seed, batch_size=batch, **changed)
    return arms.run(arms.fast_config(vocabulary, **shape), recipe, sides, arms.machine(), kind)["val_loss"]


def to_target(name: str, seed: int) -> tuple[float, dict[int, float]]:
    """Characters to the target (infinite: more than the longest length), and the losses of the lengths tried."""
    losses: dict[int, float] = {}
    place = LENGTHS.index(arms.FAST_STEPS)
    while True:
        losses[LENGTHS[place]] = fast_loss(name, seed, LENGTHS[place])
        met = losses[LENGTHS[place]] <= wanted
        place += -1 if met else 1
        if place < 0:
            return LENGTHS[0] * arms.FAST_BATCH * arms.CONTEXT, losses
        if place >= len(LENGTHS):
            return math.inf, losses
        if LENGTHS[place] in losses:
            long, short = sorted((LENGTHS[place], LENGTHS[place + (1 if met else -1)]), reverse=True)
            share = (losses[short] - wanted) / (losses[short] - losses[long])
            return math.exp(math.log(short) + share * math.log(long / short)) * arms.FAST_BATCH * arms.CONTEXT, losses


def plain_loss(name: str, seed: int, steps: int) -> float:
    """Validation loss of the plain recipe with a part added; `steps` of the plain batch size."""
    shape, changed = {**ADDED, "plain": ({}, {})}[name]
    changed = dict(changed)
    kind = changed.pop("kind", training.Trainer)
    batch = changed.pop("batch_size", arms.PLAIN_BATCH)
    recipe = arms.plain_recipe(round(steps * arms.PLAIN_BATCH / batch), seed, batch_size=batch, **changed)
    return arms.run(arms.plain_config(vocabulary, **shape), recipe, sides, arms.machine(), kind)["val_loss"]


def lengths(run, pool) -> dict[str, list[float]]:
    found: dict[str, list[float]] = {}
    jobs = [(name, seed) for name in ("fast", *WITHOUT, *WITH) for seed in arms.SEEDS]
    for (name, seed), (characters, losses) in zip(jobs, pool.map(to_target, *zip(*jobs, strict=True)), strict=True):
        found.setdefault(name, []).append(characters)
        said = ", ".join(f"{loss:.3f} after {steps}" for steps, loss in losses.items())
        run.note(f"fast, {name}, seed {seed}: {said} steps; {characters:,.0f} characters to the target.")
        print(f"{name}, seed {seed}: {characters:,.0f} characters", flush=True)
    return found


def additions(run, pool) -> tuple[dict[int, list[float]], dict[str, list[float]]]:
    jobs = [("plain", seed, steps) for steps in PLAIN_LENGTHS for seed in arms.SEEDS]
    jobs += [(name, seed, ADDED_STEPS) for name in ADDED for seed in arms.SEEDS]
    plain: dict[int, list[float]] = {}
    added: dict[str, list[float]] = {}
    for (name, seed, steps), loss in zip(jobs, pool.map(plain_loss, *zip(*jobs, strict=True)), strict=True):
        (plain.setdefault(steps, []) if name == "plain" else added.setdefault(name, [])).append(loss)
        run.note(f"plain, {name}, seed {seed}, {steps} steps: {loss:.4f}.")
        print(f"plain with {name}, {steps} steps, seed {seed}: {loss:.4f}", flush=True)
    return plain, added


def timings(run, folder: str, letters: int) -> dict[str, float]:
    """Seconds per character of each arm over those of its base, the median of the rounds."""
    found = {}
    names = [("fast", name) for name in (*WITHOUT, *WITH, *MACHINERY)] + [("plain", name) for name in ADDED]
    for base, name in names:
        code = f"from tests.bench import levers; levers.timed({base!r}, {name!r}, {folder!r}, {letters})"
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
        if done.returncode:
            raise SystemExit(f"error: timing {name} failed:\n{done.stderr[-2000:]}")
        ratios = json.loads(done.stdout.strip().splitlines()[-1])
        found[f"{base}, {name}"] = statistics.median(ratios)
        shown = ", ".join(f"{ratio:.2f}" for ratio in ratios)
        run.note(f"{base}, {name}: seconds per character over those of the base, round by round: {shown}.")
        print(f"{base}, {name}: {shown}", flush=True)
    return found


def timed(base: str, name: str, folder: str, letters: int) -> None:
    """In a process of its own: print the ratios, round by round."""
    from helpers.gpt import fast

    train, machine = arms.split(np.load(Path(folder) / "ids.npy"))[0], arms.machine()
    makes = (arms.fast_config, arms.fast_recipe) if base == "fast" else (arms.plain_config, arms.plain_recipe)
    known = {**WITHOUT, **WITH} if base == "fast" else ADDED
    shape, changed = known.get(name, ({}, {}))
    changed = dict(changed)
    kind = changed.pop("kind", training.Trainer)
    here = dataclasses.replace(machine, dtype="float32") if name == "float32" else machine
    one = training.Trainer(tried.make(makes[0](letters)), train, makes[1](1000), machine)
    other = kind(tried.make(makes[0](letters, **shape)), train, makes[1](1000, **changed), here)
    rebuild(other, name)
    seconds: dict[int, list[float]] = {0: [], 1: []}
    usual = fast.LONGEST_WRITTEN_OUT
    for turn in range(ROUNDS + 1):  # the first warms up
        for side, trainer in enumerate((one, other)):
            fast.LONGEST_WRITTEN_OUT = 0 if side and name == "flash kernel" else usual
            began = time.perf_counter()
            for _ in range(TIMED):
                trainer.advance()
            if turn:
                seconds[side].append((time.perf_counter() - began) / trainer.recipe.batch_size)
    share = arms.SHORT if kind is arms.Short else 1.0  # of the steps; the rest costs what the base's do
    print(json.dumps([1 + share * (b / a - 1) for a, b in zip(seconds[0], seconds[1], strict=True)]))


def rebuild(trainer, name: str) -> None:
    """Put other machinery below the same numbers; that of "flash kernel" and "float32" is put there by `timed`."""
    import torch

    if name == "optimizer not fused":
        for optimizer in trainer.optimizers:
            for group in optimizer.param_groups:
                group["fused"], group["foreach"] = None, False
    elif name == "Muon of torch":
        trainer.optimizers[1].step = torch.optim.Muon.step.__get__(trainer.optimizers[1])
    elif name == "heads in a loop":
        for block in trainer.model.blocks:
            block.attention.forward = one_head_at_a_time.__get__(block.attention)
    elif name == "compiled":
        trainer.model.compile()


def one_head_at_a_time(self, x, turn, value, past=None):
    """Attention as it is taught first: each head projects for itself, and writes its weights out."""
    import torch
    import torch.nn.functional as F

    from helpers.gpt.fast import rotate

    (T, C), H = x.shape[1:], self.config.n_head
    ahead = torch.ones(T, T, dtype=torch.bool).triu(1)
    heads = []
    for q, k, v in self.qkv.weight.view(3, H, C // H, C).transpose(0, 1):
        q, k, v = (F.linear(x, matrix) for matrix in (q, k, v))  # each (B, T, C/H)
        q, k = (rotate(each, *(angles[:, 0, 0] for angles in turn)) for each in (q, k))
        weights = (q @ k.mT * (C // H) ** -0.5).masked_fill(ahead, float("-inf")).softmax(-1)  # (B, T, T)
        heads.append(weights.to(v.dtype) @ v)
    return self.out(torch.cat(heads, dim=-1))


def evaluations(run, folder: str, letters: int) -> None:
    """Seconds of the plain recipe's evaluations, random batches again and again, and of one pass over everything."""
    machine, sides = arms.machine(), arms.split(np.load(Path(folder) / "ids.npy"))
    plain = dataclasses.replace(machine, dtype="float32")
    trainer = training.Trainer(gpt.make(arms.plain_config(letters)), sides[0], arms.plain_recipe(), plain)
    for _ in range(300):
        trainer.advance()
    seconds = {"random": [], "full": []}
    for _ in range(ROUNDS):
        began = time.perf_counter()
        estimates = [arms.look(trainer, side, i) for side in sides for i in range(arms.PLAIN_EVALUATION["batches"])]
        middle = time.perf_counter()
        training.evaluate(trainer.model, sides[1], machine, 256)
        seconds["random"].append(middle - began)
        seconds["full"].append(time.perf_counter() - middle)
    times = arms.PLAIN_STEPS // arms.PLAIN_EVALUATION["every"] + 1
    run.log(evaluations_plain=times, unit="times")
    run.log(seconds_evaluations_plain=times * statistics.median(seconds["random"]), unit="s", kind="timing")
    run.log(seconds_evaluation_full=statistics.median(seconds["full"]), unit="s", kind="timing")
    of_val = estimates[arms.PLAIN_EVALUATION["batches"] :]
    spread = statistics.stdev(of_val) / len(of_val) ** 0.5  # of their mean
    run.log(random_evaluation_error=spread, unit="nats/character")


def judge(run, fast, plain, added, ratios, target: float) -> dict[str, dict]:
    """One row per part: worth in characters with its interval, cost in seconds per character, and what both make.

    Worth: how many times as many characters the same loss takes without the part. Cost: seconds per character with it
    over those without.
    """
    characters = {name: np.array(found) for name, found in fast.items()}
    longest = LENGTHS[-1] * arms.FAST_BATCH * arms.CONTEXT
    for name, found in characters.items():
        if np.isinf(found).any():
            run.note(f"fast, {name}: not at the target within {longest:,} characters; counted as that many.")
            characters[name] = np.where(np.isinf(found), longest, found)
    base = np.log(characters.pop("fast"))
    run.log(fast_characters=float(np.exp(base.mean())), unit="characters", better="lower")
    rows = {}
    for name, found in characters.items():
        logs = (base, np.log(found)) if name in WITHOUT else (np.log(found), base)
        ratio = ratios[f"fast, {name}"]
        rows[f"fast: {name}"] = worth(*logs) | {"cost": 1 / ratio if name in WITHOUT else ratio}
    lengths = np.array(PLAIN_LENGTHS)
    curves = np.array([plain[steps] for steps in PLAIN_LENGTHS])  # (lengths, seeds)
    for name, losses in added.items():
        steps = [steps_for(loss, lengths, curves[:, i]) for i, loss in enumerate(losses)]
        logs = np.full(len(steps), math.log(ADDED_STEPS)), np.log(steps)
        outside = sum(not curves[:, i].min() <= loss <= curves[0, i] for i, loss in enumerate(losses))
        if outside:
            run.note(f"plain, {name}: {outside} of {len(steps)} seeds lie outside the plain lengths and count as the "
                     "nearest of them.")  # fmt: skip
        rows[f"plain: {name}"] = worth(*logs) | {"cost": ratios[f"plain, {name}"]}
    judged = {name: row for name, row in rows.items() if row["p"] is not None}
    levels = dict(zip(judged, stats.holm([row["p"] for row in judged.values()]), strict=True))
    keys = []
    for rowname, row in rows.items():
        if row["p"] is None:
            row["verdict"] = "a bound"
        else:
            told = row["p"] <= levels[rowname]
            row["verdict"] = ("helps" if row["worth"] > 1 else "hurts") if told else "cannot tell"
        row["time"] = row["worth"] / row["cost"]
        key = rowname.replace(": ", "_").replace(" ", "_").replace("²", "2").replace("-", "_")
        run.log(**{f"worth_{key}": row["worth"]}, unit="times", better="higher")
        run.log(**{f"worth_{key}_low": row["low"], f"worth_{key}_high": row["high"]}, unit="times")
        run.log(**{f"cost_{key}": row["cost"]}, unit="times", better="lower", kind="timing")
        run.log(**{f"verdict_{key}": row["verdict"]}, unit="")
        keys.append(key)
    columns = {"worth": "worth_{}", "from": "worth_{}_low", "to": "worth_{}_high", "seconds": "cost_{}"}
    run.table("Every part: characters it saves, seconds it costs", keys, columns | {"verdict": "verdict_{}"})
    for name in MACHINERY:
        run.log(**{f"seconds_{name.replace(' ', '_')}": ratios[f"fast, {name}"]}, unit="times", kind="timing")
    return rows


def worth(with_it: np.ndarray, without: np.ndarray) -> dict[str, float]:
    """Of logarithms per seed; without p where every seed has the same, as beyond the longest training."""
    if np.ptp(without - with_it) < 1e-9:
        value = math.exp((without - with_it).mean())
        return {"worth": value, "low": value, "high": value, "p": None}
    low, high, p = stats.mean_difference(with_it, without, paired=True)
    return {"worth": math.exp((without - with_it).mean()), "low": math.exp(low), "high": math.exp(high), "p": p}


def steps_for(loss: float, lengths: np.ndarray, losses: np.ndarray) -> float:
    """How long a plain training has to be for `loss`; at least the shortest, at most the longest that was run."""
    falling = np.minimum.accumulate(losses)
    return float(np.exp(np.interp(-loss, -falling, np.log(lengths))))


def draw(run, rows: dict[str, dict]) -> None:
    names = list(dict.fromkeys([*WITHOUT, *WITH, *ADDED]))
    fig, ax = plots.figure(height=0.34 * len(names) + 1.2)
    for side, color, shift in (("fast", "blue", -0.15), ("plain", "orange", 0.15)):
        for i, name in enumerate(names):
            if row := rows.get(f"{side}: {name}"):
                ax.plot([row["low"], row["high"]], [i + shift] * 2, color=plots.COLORS[color], lw=2)
                ax.plot([row["worth"]], [i + shift], "o", color=plots.COLORS[color], ms=7)
    ax.axvline(1, color=plots.COLORS["grey"], lw=1)
    ax.set_yticks(range(len(names)), names)
    ax.invert_yaxis()
    ax.set(xscale="log", xlabel="times as many characters without it, for the same loss")
    ticks = [0.5, 0.7, 1, 1.4, 2, 3, 4, 6, 8]
    low, high = (f(row[end] for row in rows.values()) for f, end in ((min, "low"), (max, "high")))
    ax.set_xticks(
        [t for t in ticks if 0.8 * low <= t <= 1.2 * high], [f"{t:g}" for t in ticks if 0.8 * low <= t <= 1.2 * high]
    )
    ax.set_xticks([], minor=True)
    for side, color in (("in the fast recipe", "blue"), ("added to the plain one", "orange")):
        ax.plot([], [], "o-", color=plots.COLORS[color], label=side)
    ax.legend(loc="lower right", fontsize=10)
    data = {name: {k: row[k] for k in ("worth", "low", "high", "cost", "verdict")} for name, row in rows.items()}
    alt = "Times as many characters without each part: " + "; ".join(
        f"{name} {row['worth']:.2f} ({row['low']:.2f} to {row['high']:.2f})" for name, row in rows.items()
    )
    run.figure("bench_levers", fig, data=data, alt=alt + ".")


def conclude(run, rows: dict[str, dict]) -> None:
    helps = {name: row for name, row in rows.items() if name.startswith("fast: ") and name[6:] in WITHOUT}
    order = sorted(helps, key=lambda name: -helps[name]["time"])
    largest = ", ".join(f"{name[6:]} {helps[name]['time']:.2f}" for name in order)
    idle = [name[6:] for name in rows if name[6:] in WITH and name.startswith("fast") and rows[name]["time"] < 1.02]
    run.finish(
        verdict="Times less time to the target with each part than without, in the fast recipe: {largest}. Not in it, "
        "because they save no time here: {idle}.",
        decision="This run changes no recipe; notebook 12 names what helps, what does not, and what it cannot tell.",
        largest=largest, idle=", ".join(idle) or "none",
    )  # fmt: skip
