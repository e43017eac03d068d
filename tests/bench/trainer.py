"""How much faster is fine-tuning with the recipe of notebook 05 than with a plain Trainer, at the same score?

Lever by lever with MiniLM, three seeds an arm, each a training on fifty batches from start to end: a plain Trainer as
many tutorials have it (float32, padded to max_length, in random order, the attention kernel of PyTorch), then attention
written out, then padded to the longest of its batch, then snippets of like length together, then in bfloat16: that is
the course's. Beside them the same with the kernel. Then a plain one and the course's in turn with mpnet, which has no
such kernel, some batches each.
Trainings are kept on disk, so a start that was killed goes on with the next one.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import time
from dataclasses import dataclass

import numpy as np

from helpers import encoder, finetune, hardware, journal, paths, profile, stats
from helpers.quiet import transformers

from . import BENCHMARKS
from .classifier import SEEDS, Data

BATCHES = 50  # the Trainer sorts twelve at a time by length: a little more padding than in a whole epoch
TURNS = 3
PLAIN_BATCHES = 8  # of mpnet, a turn: every batch is as wide as any other


@dataclass(frozen=True)
class Arm:
    dtype: str = "float32"
    width: str | bool = True  # of the padding, as tokenizers name it: True is the batch's longest
    order: str = "group_by_length"
    attention: str = "eager"
    than: str = ""  # the arm that it changes in one thing


ARMS = {
    "plain": Arm(width="max_length", order="random", attention="sdpa"),
    "written_out": Arm(width="max_length", order="random", than="plain"),
    "to_the_longest": Arm(order="random", than="written_out"),
    "alike_together": Arm(than="to_the_longest"),
    "bfloat16": Arm("bfloat16", than="alike_together"),
    "fused_attention": Arm("bfloat16", attention="sdpa", than="bfloat16"),
}


def main(arguments: list[str]) -> int:
    argparse.ArgumentParser(prog="make bench ARGS=trainer", description=__doc__.splitlines()[0]).parse_args(arguments)
    settings = dataclasses.replace(profile.Finetune(), encoder="minilm", epochs=1)
    settings = dataclasses.replace(settings, train_items=BATCHES * settings.batch_size)
    machine, data = hardware.load(), Data.load()
    config = {**vars(settings), "arms": {name: vars(arm) for name, arm in ARMS.items()}, "seeds": list(SEEDS[:3])}
    run = journal.start(BENCHMARKS["trainer"], config=config, seed=SEEDS[0], data_hash=data.test.hash)
    run.predict("times_plain_mpnet", 4, unit="times", kind="timing")
    run.predict("times_plain", 4, unit="times", kind="timing")
    found: dict[str, list[dict]] = {name: [] for name in ARMS}
    for seed in SEEDS[:3]:
        for name, arm in ARMS.items():
            found[name].append(trained(name, arm, settings, machine, data, seed))
            print(f"seed {seed}, {name}: {found[name][-1]['seconds']:.0f} s", flush=True)
    ours = "bfloat16" if machine.dtype == "bfloat16" else ARMS["bfloat16"].than  # as notebook 05 computes here
    ratios = in_turn(dataclasses.replace(settings, encoder="mpnet"), machine, data, run, ours)
    report(run, found, ratios, ours)
    return 0


class Clock(transformers.TrainerCallback):
    """Seconds from the first step to the end of the last."""

    def on_train_begin(self, args, state, control, **kwargs):
        self.began = time.perf_counter()

    def on_step_end(self, args, state, control, **kwargs):
        self.seconds = time.perf_counter() - self.began


def trainer(arm: Arm, settings, machine, items, seed: int, clock: Clock):
    tokenizer, model = encoder.load_classifier(encoder.find(settings.encoder), settings.dropout, machine, seed)
    if arm.attention != "eager":
        model.set_attn_implementation(arm.attention)
    learn = finetune.dataset(items, tokenizer, settings.max_length)
    machine = dataclasses.replace(machine, dtype=arm.dtype)
    made = finetune.trainer(
        model, tokenizer, learn, {"val": learn}, settings, machine, seed, callbacks=[clock],
        eval_strategy="no", eval_on_start=False, train_sampling_strategy=arm.order,
    )  # fmt: skip
    if arm.width == "max_length":
        made.data_collator = transformers.DataCollatorWithPadding(tokenizer, "max_length", settings.max_length)
    return tokenizer, made


def trained(name: str, arm: Arm, settings, machine, data: Data, seed: int) -> dict:
    """Seconds, answers and scores of one training; from an earlier start if it is there."""
    key = paths.sha256(json.dumps([vars(settings), vars(arm), seed, data.fit.hash]))[:8]
    place = paths.artifacts("bench", "trainer", f"{name}-{seed}-{key}.json")
    if place.is_file():
        return paths.read_json(place)
    clock = Clock()
    chosen = np.random.default_rng(seed).permutation(len(data.fit))[: settings.train_items]
    tokenizer, made = trainer(arm, settings, machine, data.fit.take(chosen), seed, clock)
    made.train()
    answers = finetune.predict(made.model, tokenizer, data.test.texts, settings, machine)
    result = {**finetune.judge(answers, data.test.labels, data.test.soft), "seconds": clock.seconds}
    paths.write_json(place, result)
    return result


def in_turn(settings, machine, data: Data, run, ours: str) -> list[float]:
    """Snippets per second with the course's recipe over those of a plain Trainer, mpnet, turn by turn."""
    speed: dict[str, list[float]] = {"plain": [], ours: []}
    for turn in range(TURNS):
        for name, batches in (("plain", PLAIN_BATCHES), (ours, BATCHES)):
            arm = dataclasses.replace(ARMS[name], attention="eager")  # mpnet has no other
            chosen = np.random.default_rng(turn).permutation(len(data.fit))[: batches * settings.batch_size]
            clock = Clock()
            _, made = trainer(arm, settings, machine, data.fit.take(chosen), turn, clock)
            made.train()
            speed[name].append(len(chosen) / clock.seconds)
            print(f"mpnet, turn {turn + 1}, {name}: {speed[name][-1]:.1f} snippets a second", flush=True)
    for name, values in speed.items():
        run.log(**{f"mpnet_snippets_per_second_{name}": float(np.median(values))}, unit="1/s", kind="timing")
        run.note("mpnet, {name}, snippets a second, turn by turn: {values}.", name=name,
                 values=", ".join(f"{value:.2f}" for value in values))  # fmt: skip
    return [fast / plain for fast, plain in zip(speed[ours], speed["plain"], strict=True)]


def report(run, found: dict[str, list[dict]], ratios: list[float], ours: str) -> None:
    for name, results in found.items():
        for metric, unit, better in (("accuracy", "", "higher"), ("cross_entropy", "nats", "lower")):
            values = [one[metric] for one in results]
            run.log(**{f"{metric}_{name}": float(np.mean(values))}, unit=unit, better=better)
            run.log(**{f"sd_{metric}_{name}": float(np.std(values, ddof=1))}, unit=unit)
        run.log(**{f"seconds_{name}": float(np.median([one["seconds"] for one in results]))}, unit="s", kind="timing")
    columns = {"seconds": "seconds_{}", "accuracy": "accuracy_{}", "sd of it": "sd_accuracy_{}",
               "cross-entropy": "cross_entropy_{}", "its sd": "sd_cross_entropy_{}"}  # fmt: skip
    run.table("MiniLM, fifty batches, three seeds", list(found), columns)
    for name, arm in ARMS.items():
        if arm.than:
            times = [
                before["seconds"] / now["seconds"] for before, now in zip(found[arm.than], found[name], strict=True)
            ]
            run.log(**{f"times_{name}": float(np.median(times))}, unit="times", better="higher", kind="timing")
            run.note(f"{name} over {arm.than}, seed by seed: {', '.join(f'{t:.2f}' for t in times)} times as fast.")
    times = [before["seconds"] / now["seconds"] for before, now in zip(found["plain"], found[ours], strict=True)]
    run.log(times_plain=float(np.median(times)), unit="times", better="higher", kind="timing")
    run.log(times_plain_mpnet=float(np.median(ratios)), unit="times", better="higher", kind="timing")
    run.note("mpnet, ours over plain, turn by turn: {r} times.", r=", ".join(f"{ratio:.2f}" for ratio in ratios))
    losses = {name: np.array([one["cross_entropy"] for one in found[name]]) for name in ("plain", ours)}
    low, high, _ = stats.mean_difference(losses["plain"], losses[ours], paired=True)
    run.log(loss_over_plain=float((losses[ours] - losses["plain"]).mean()), unit="nats", better="lower")
    run.log(loss_over_plain_low=low, loss_over_plain_high=high, unit="nats")
    run.finish(
        verdict="With mpnet the course's recipe learns from {times_plain_mpnet:.1f} times as many snippets a second as "
        "a plain Trainer; a training of MiniLM takes {times_plain:.1f} times less. The test cross-entropy, "
        "ours less plain: {loss_over_plain:+.3f} nats (three seeds, 95 % interval {loss_over_plain_low:+.3f} to "
        "{loss_over_plain_high:+.3f}): {word}.",
        decision="Pad to the batch's longest, put like lengths together, use bfloat16 where the machine has units for "
        "it, and write the attention out on a CPU.",
        word="cannot tell them apart" if low < 0 < high else "they differ",
    )
