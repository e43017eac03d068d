"""What of an encoder has to learn, from which labels, and from how many: arms of one recipe, five seeds each.

The recipe is that of notebook 05 on a laptop, with MiniLM. Arms differ in one thing: what is trained (all of it, its
last layers, LoRA, the head alone), what the labels are (a side, or the raters' shares), how many snippets there are.
From few snippets it learns for more epochs, so that the number of steps is not what they lack.
The last weights are judged, not the best by validation.
Each training is kept on disk, so a start that was killed goes on with the next one.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch

from helpers import budget, classify, encoder, finetune, hardware, journal, paths, plots, profile, stats

from . import BENCHMARKS
from .classifier import SEEDS, Data, with_lora

SIZES = (200, 400, 800, 1600, 3200)  # those of notebook 04 that are smaller than all
STEPS = 200  # at least


@dataclass(frozen=True)
class Arm:
    rate: float = 1e-4
    prepare: Callable = lambda model: model  # what of it is trained
    soft: bool = False
    items: int = 0  # 0 means all


def head(model):
    for name, p in model.named_parameters():
        p.requires_grad = name.startswith("classifier")
    return model


def last_two(model):
    wanted = tuple(f"encoder.layer.{i}." for i in range(model.config.num_hidden_layers)[-2:])
    for name, p in model.named_parameters():
        p.requires_grad = name.startswith("classifier") or any(part in name for part in wanted)
    return model


ARMS = {
    "all": Arm(),
    "soft_labels": Arm(soft=True),
    "last_two_layers": Arm(prepare=last_two, rate=3e-4),
    "LoRA": Arm(prepare=lambda model: with_lora(model, 8), rate=1e-3),
    "head": Arm(prepare=head, rate=3e-3),
    **{f"{n}_snippets": Arm(items=n) for n in SIZES},
}


def main(arguments: list[str]) -> int:
    argparse.ArgumentParser(prog="make bench ARGS=learning", description=__doc__.splitlines()[0]).parse_args(arguments)
    settings = dataclasses.replace(profile.Finetune(), encoder="minilm")
    machine, data, folder = hardware.load(), Data.load(), encoder.find("minilm")
    run = journal.start(
        BENCHMARKS["learning"],
        config={**vars(settings), "least_steps": STEPS, "seeds": list(SEEDS)},
        seed=SEEDS[0],
        data_hash=data.test.hash,
    )
    run.predict("gain_soft_labels", -0.02, unit="nats")
    run.predict("worth_LoRA", -0.01, unit="")
    run.predict("worth_head", -0.08, unit="")
    found = {}
    for name, arm in ARMS.items():
        found[name] = [learned(name, arm, settings, machine, data, folder, seed) for seed in SEEDS]
        print(f"{name}: {statistics.mean(one['accuracy'] for one in found[name]):.4f}", flush=True)
    report(run, found, data)
    return 0


def learned(name: str, arm: Arm, settings, machine, data: Data, folder, seed: int) -> dict:
    """Scores, answers to the test snippets, seconds and trained parameters of one training."""
    key = paths.sha256(json.dumps([vars(settings), arm.rate, arm.soft, arm.items, STEPS, seed, machine.dtype,
                                   data.fit.hash]))[:8]  # fmt: skip
    place = paths.artifacts("bench", "learning", f"{name}-{seed}-{key}.json")
    if place.is_file():
        return paths.read_json(place)
    settings = dataclasses.replace(settings, learning_rate=arm.rate)
    tokenizer, model = encoder.load_classifier(folder, settings.dropout, machine, seed)
    model = arm.prepare(model)
    fit = (
        data.fit
        if not arm.items
        else data.fit.take(np.random.default_rng(seed).permutation(len(data.fit))[: arm.items])
    )
    settings = dataclasses.replace(
        settings, epochs=max(settings.epochs, -(-STEPS // -(-len(fit) // settings.batch_size)))
    )
    learn = finetune.dataset(fit, tokenizer, settings.max_length)
    trainer = finetune.trainer(
        model, tokenizer, learn, {"val": learn}, settings, machine, seed, eval_strategy="no", eval_on_start=False
    )
    if arm.soft:
        trainer.compute_loss_func = soft_loss
    began = time.perf_counter()
    with budget.PeakMemory(machine.device) as peak:
        trainer.train()
    seconds = time.perf_counter() - began
    answers = finetune.predict(model, tokenizer, data.test.texts, settings, machine)
    result = {
        **finetune.judge(answers, data.test.labels, data.test.soft),
        "ece": classify.calibration_error(answers, data.test.labels),
        "answers": answers.tolist(),
        "seconds": seconds,
        "peak": peak.allocated or peak.mb,
        "trained": sum(p.numel() for p in model.parameters() if p.requires_grad),
    }
    paths.write_json(place, result)
    return result


def soft_loss(outputs, labels: torch.Tensor, num_items_in_batch=None) -> torch.Tensor:
    """Cross-entropy against the raters' shares, the second column of `labels`, (batch, 2)."""
    share = labels[:, 1]
    return torch.nn.functional.cross_entropy(outputs.logits.float(), torch.stack([1 - share, share], dim=1))


def report(run, found: dict[str, list[dict]], data: Data) -> None:
    metrics = ("accuracy", "cross_entropy", "kl_divergence", "ece")
    for name, results in found.items():
        for metric in metrics:
            unit = "nats" if metric.endswith(("entropy", "divergence")) else ""
            better = "higher" if metric == "accuracy" else "lower"
            values = [one[metric] for one in results]
            run.log(**{f"{metric}_{name}": statistics.mean(values)}, unit=unit, better=better)
            run.log(**{f"sd_{metric}_{name}": statistics.stdev(values)}, unit=unit)
        run.log(**{f"seconds_{name}": statistics.mean(one["seconds"] for one in results)}, unit="s", kind="timing")
        peak = statistics.median(one["peak"] for one in results)  # over what the model itself takes
        run.log(**{f"peak_{name}": peak}, unit="MB", better="lower", kind="timing")
        run.log(**{f"trained_{name}": results[0]["trained"]}, unit="parameters")
    columns = {"accuracy": "accuracy_{}", "sd": "sd_accuracy_{}", "cross-entropy": "cross_entropy_{}",
               "KL to the raters": "kl_divergence_{}", "ECE": "ece_{}", "trained": "trained_{}",
               "seconds": "seconds_{}", "peak": "peak_{}"}  # fmt: skip
    run.table("The arms, five seeds each", list(found), columns)
    for name in ("soft_labels", "last_two_layers", "LoRA", "head"):
        pairs = [one["accuracy"] - other["accuracy"] for one, other in zip(found[name], found["all"], strict=True)]
        run.log(**{f"worth_{name}": statistics.mean(pairs)}, unit="", better="higher")
    draw(run, {f"{metric}_{name}": [one[metric] for one in results]
               for name, results in found.items() for metric in metrics})  # fmt: skip
    gain, low, high = kl_gain(found["soft_labels"], found["all"], data)
    run.log(gain_soft_labels=gain, gain_soft_labels_low=low, gain_soft_labels_high=high, unit="nats", better="lower")
    run.finish(
        verdict="Of MiniLM, trained whole, {accuracy_all:.1%} of the test snippets are right (five seeds, sd "
        "{sd_accuracy_all:.1%}); the last two layers alone have {accuracy_last_two_layers:.1%}, LoRA "
        "{accuracy_LoRA:.1%}, the head alone {accuracy_head:.1%}. Trained on the raters' shares instead of sides, its "
        "answers lie {gain_soft_labels:+.3f} nats from where they lay to the raters (95 % interval "
        "{gain_soft_labels_low:+.3f} to {gain_soft_labels_high:+.3f}), with {accuracy_soft_labels:.1%} right.",
        decision="Notebook 16 shows this record.",
    )


def draw(run, data: dict[str, list[float]]) -> None:
    """A dot for each training; `data` keeps every score of every seed, so that arms can be compared seed by seed."""
    fig, ax = plots.figure(height=3.4)
    for row, name in enumerate(ARMS):
        ax.plot(data[f"accuracy_{name}"], [row] * len(SEEDS), "o", alpha=0.6, color=plots.COLORS["blue"])
    ax.invert_yaxis()
    ax.set(yticks=range(len(ARMS)), yticklabels=list(ARMS), xlabel="test accuracy, a dot for each seed")
    told = "; ".join(f"{name} {{accuracy_{name}:.4f}}" for name in ARMS)
    run.figure("16_arms", fig, data=data, alt=f"Test accuracy of MiniLM, five seeds each: {told}.")


def kl_gain(mine: list[dict], theirs: list[dict], data: Data) -> tuple[float, float, float]:
    """Mean difference in KL divergence to the raters, with its 95 % bootstrap interval over the test snippets."""

    def per_item(results: list[dict]) -> np.ndarray:
        return np.mean([[classify.kl_divergence([q], [p]) for q, p in zip(one["answers"], data.test.soft, strict=True)]
                        for one in results], axis=0)  # fmt: skip

    difference = per_item(mine) - per_item(theirs)
    draws = [difference[index].mean() for index in stats.resample(len(difference), 2000, SEEDS[0])]
    low, high = np.percentile(draws, [2.5, 97.5])
    return float(difference.mean()), float(low), float(high)
