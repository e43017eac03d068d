"""Does cleaning help a model? Bits per byte on the same clean validation text, trained on raw or on cleaned text.

Two arms, five seeds each: the same small GPT on bytes (so that no tokenizer favours an arm), the same steps, the same
validation documents. The raw arm reads every document as it was decoded, except those that share word runs with a
validation document: a copy in training would make raw text look good for the wrong reason.

What is compared is cleaning as a whole. It changes the mixture of kinds as well (raw text has more mark-up and second
editions, so less code), and the gain of one kind is partly that. The intervals cover seeds, not other documents, and
the kinds' verdicts are not corrected for being four; the one that counts is that of all kinds together.
"""

from __future__ import annotations

import argparse
import math

import numpy as np

from helpers import gpt, hardware, journal, mrclean, profile, stats, training
from labjournal.markdown import number

from . import BENCHMARKS

SEEDS = (1, 2, 3, 4, 5)
MODEL = {"n_layer": 2, "n_head": 4, "n_embd": 128, "block_size": 128, "dropout": 0.0}
RECIPE = {"max_iters": 400, "batch_size": 16, "learning_rate": 3e-3, "eval_interval": 400}
EVAL_BATCHES = 32  # of each kind's validation text: 65,536 bytes
BETWEEN = 0  # the byte between two documents; no clean text holds it


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="make bench ARGS=clean_effect", description=__doc__.splitlines()[0])
    parser.parse_args(arguments)
    settings = profile.load().clean
    run = journal.start(BENCHMARKS["clean_effect"], config={**vars(settings), **MODEL, **RECIPE, "seeds": len(SEEDS)})
    for kind in ("all", *mrclean.KINDS):
        run.predict(f"gain_{kind}", 0.05 if kind == "wiki" else 0.02, unit="bits/byte")
    documents = mrclean.read_sources(settings)
    result = mrclean.clean(documents, mrclean.evaluation_texts())
    sides = mrclean.split_corpus(result, settings.val_fraction)
    train = {"raw": raw_training(documents, sides["val"]), "cleaned": [d.text for d in sides["train"]]}
    for arm, texts in train.items():
        run.log(**{f"{arm}_megabytes": sum(len(t.encode("utf-8", "surrogatepass")) for t in texts) / 1e6}, unit="MB")
    val = {kind: shard([d.text for d in sides["val"] if d.kind == kind]) for kind in mrclean.KINDS}

    machine = hardware.known() or hardware.probe()
    found = {arm: {kind: [] for kind in ("all", *val)} for arm in train}
    for seed in SEEDS:
        for arm, texts in train.items():
            for kind, value in one(shard(texts), val, seed, machine).items():
                found[arm][kind].append(value)
            print(f"seed {seed}, {arm}: {found[arm]['all'][-1]:.4f} bits per byte", flush=True)
    verdicts = {}
    for kind in ("all", *val):
        raw, cleaned = (np.array(found[arm][kind]) for arm in train)
        low, high, p = stats.mean_difference(cleaned, raw, paired=True)  # positive: cleaned text needs fewer bits
        verdicts[kind] = "better" if low > 0 else "worse" if high < 0 else "cannot tell"
        run.log(**{f"bits_per_byte_raw_{kind}": raw.mean(), f"bits_per_byte_cleaned_{kind}": cleaned.mean()},
                unit="bits/byte", better="lower")  # fmt: skip
        run.log(**{f"gain_{kind}": (raw - cleaned).mean(), f"gain_{kind}_low": low, f"gain_{kind}_high": high},
                unit="bits/byte", better="higher")  # fmt: skip
        run.log(**{f"verdict_{kind}": verdicts[kind]}, unit="")
        run.note(
            f"{kind}: {verdicts[kind]} (paired t over {len(SEEDS)} seeds, p {number(p)}). Raw minus cleaned, seed by "
            f"seed: {', '.join(number(d) for d in raw - cleaned)} bits per byte."
        )
    run.finish(
        verdict="Trained on cleaned instead of raw text, a small model is {effect} on clean validation text: "
        "{gain_all:+.4f} bits per byte (95 % interval {gain_all_low:+.4f} to {gain_all_high:+.4f}). By kind: {kinds}.",
        decision="Notebook 01 shows this record; the course trains on cleaned text.",
        effect=verdicts["all"] if verdicts["all"] != "cannot tell" else "no different as far as five seeds tell,",
        kinds=", ".join(f"{kind} {verdict}" for kind, verdict in verdicts.items() if kind != "all"),
    )  # fmt: skip
    return 0


def raw_training(documents: list[mrclean.Document], val: list[mrclean.Document]) -> list[str]:
    """Every raw document that can be decoded and shares no more word runs with validation than the split allows."""
    in_val = {d.id for d in val}
    texts = []
    for kind in mrclean.KINDS:
        held_out = [mrclean.shingles(d.text) for d in val if d.kind == kind]
        limit = mrclean.RULES[f"{kind}_same_side"].value
        for document in (d for d in documents if d.kind == kind and d.id not in in_val):
            answer = mrclean.steps.decode(document)
            if isinstance(answer, mrclean.Drop):
                continue
            own = mrclean.shingles(answer.document.text)
            if all(shared(own, other) < limit for other in held_out):
                texts.append(answer.document.text)
    return texts


def shared(a: np.ndarray, b: np.ndarray) -> float:
    """Containment of two shingle sets."""
    return len(np.intersect1d(a, b, assume_unique=True)) / max(1, min(len(a), len(b)))


def shard(texts: list[str]) -> np.ndarray:
    """All texts as bytes, one after the other: (bytes,) uint8."""
    return np.frombuffer(bytes([BETWEEN]).join(t.encode("utf-8", "surrogatepass") for t in texts), np.uint8)


def one(ids: np.ndarray, val: dict[str, np.ndarray], seed: int, machine) -> dict[str, float]:
    """Bits per byte of one training, on each kind's validation text and on all of them together, byte by byte."""
    hardware.seed_everything(seed)
    model = gpt.GPT(gpt.GPTConfig(vocab_size=256, **MODEL))
    recipe = training.Recipe(**RECIPE, seed=seed)
    trainer = training.Trainer(model, ids, recipe, machine)
    for _ in range(recipe.max_iters):
        trainer.advance()
    bits = {
        kind: training.evaluate(trainer.model, shard, machine, RECIPE["batch_size"], EVAL_BATCHES) / math.log(2)
        for kind, shard in val.items()
    }
    size = sum(map(len, val.values()))
    return {"all": sum(bits[kind] * len(val[kind]) / size for kind in bits), **bits}
