"""Which vocabulary? Bits per byte of small models that differ in nothing but the tokenizer, at equal compute.

Three vocabularies, models of three widths, five seeds. A larger vocabulary puts more text into a token, and so into a
step and into the context; but it takes a larger matrix, which costs more operations per token, and each of its rows is
seen more rarely. So every arm of a width gets the same number of operations (`budget.flops_per_token`), not of steps.

The merges are nested: the smaller vocabularies are the beginnings of the largest. All arms are measured on the same
bytes: the beginning of every validation document.
"""

from __future__ import annotations

import argparse
import statistics

import numpy as np

from helpers import bpe, budget, gpt, hardware, journal, mrclean, paths, profile, stats, training
from helpers.journal.markdown import number

SEEDS = (1, 2, 3, 4, 5)
VOCABULARIES = (1024, 4096, 16384)
WIDTHS = {64: 3e11, 112: 9e11, 160: 3e12}  # n_embd -> floating-point operations for one training
SHAPE = {"n_layer": 2, "n_head": 4, "block_size": 128, "dropout": 0.0}
RECIPE = {"batch_size": 8, "learning_rate": 2e-3}
VAL_CHARACTERS = 2_000  # of every validation document, from its beginning


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="make bench ARGS=vocabulary", description=__doc__.splitlines()[0])
    parser.parse_args(arguments)
    run, corpus = start()
    machine = hardware.known() or hardware.probe()
    pieces = bpe.count_pieces(corpus["train"])
    merges = bpe.learn_merges(pieces, max(VOCABULARIES) - 258)
    found = {}
    for width, operations in WIDTHS.items():
        for vocab_size in VOCABULARIES:
            tokenizer = bpe.Tokenizer(merges[: vocab_size - 258])
            train, val = (stream(tokenizer, texts) for texts in corpus.values())
            size = sum(len(text.encode("utf-8")) for text in corpus["val"])
            config = gpt.GPTConfig(vocab_size=vocab_size, n_embd=width, **SHAPE)
            bits = [one(config, train, val, size, operations, seed, machine) for seed in SEEDS]
            print(f"width {width}, vocabulary {vocab_size}: {', '.join(map(number, bits))} bits per byte", flush=True)
            found[width, vocab_size] = bits
    report(run, found)
    return 0


def start():
    """The run, and the texts of both sides of the corpus; validation texts are cut to their beginnings."""
    name = profile.load().name
    manifest = paths.read_manifest(paths.artifacts("corpus"), "01_mrclean", name)
    settings = {"widths": list(WIDTHS), "operations": list(WIDTHS.values()), "vocabularies": list(VOCABULARIES)}
    config = {**SHAPE, **RECIPE, **settings, "seeds": len(SEEDS), "val_characters": VAL_CHARACTERS}
    run = journal.start("bench_vocabulary", config=config, data_hash=manifest["hash"][:16])
    for width, guess in zip(WIDTHS, VOCABULARIES, strict=True):
        run.predict(f"best_vocabulary_{width}", guess, unit="ids")
    corpus = {side: [row["text"] for row in rows] for side, rows in mrclean.read_corpus(name).items()}
    return run, {"train": corpus["train"], "val": [text[:VAL_CHARACTERS] for text in corpus["val"]]}


def stream(tokenizer: bpe.Tokenizer, texts: list[str]) -> np.ndarray:
    """All documents one after the other, each with its beginning marked: (tokens,) uint16."""
    parts = [np.append(np.uint16(tokenizer.bos), tokenizer.encode_array(text).astype(np.uint16)) for text in texts]
    return np.concatenate(parts)


def one(config: gpt.GPTConfig, train, val, size: int, operations: float, seed: int, machine) -> float:
    """Bits per byte of validation text after one training of about `operations`."""
    hardware.seed_everything(seed)
    per_step = budget.flops_per_token(config) * RECIPE["batch_size"] * config.block_size
    steps = round(operations / per_step)
    recipe = training.Recipe(**RECIPE, max_iters=steps, eval_interval=steps, seed=seed)
    trainer = training.Trainer(gpt.GPT(config), train, recipe, machine)
    for _ in range(steps):
        trainer.advance()
    loss = training.evaluate(trainer.model, val, machine, 16)
    return training.bits_per_byte(loss, len(val) - 1, size)


def report(run, found: dict[tuple[int, int], list[float]]) -> None:
    sentences = []
    for width in WIDTHS:
        means = {v: statistics.fmean(found[width, v]) for v in VOCABULARIES}
        best = min(means, key=means.get)
        run.log(**{f"best_vocabulary_{width}": best}, unit="ids")
        for v in VOCABULARIES:
            run.log(**{f"bits_per_byte_{width}_{v}": means[v]}, unit="bits/byte", better="lower")
            run.log(**{f"sd_{width}_{v}": statistics.stdev(found[width, v])}, unit="bits/byte")
            run.note(f"width {width}, vocabulary {v:,}, seed by seed: {', '.join(map(number, found[width, v]))}.")
        rivals = [v for v in VOCABULARIES if v != best]
        gaps = {
            v: stats.mean_difference(np.array(found[width, best]), np.array(found[width, v]), False) for v in rivals
        }
        p_values = [gap[2] for gap in gaps.values()]
        clear = all(p <= level for p, level in zip(p_values, stats.holm(p_values), strict=True))
        run.log(**{f"verdict_{width}": "better" if clear else "cannot tell"}, unit="")
        sentences.append(
            f"width {width}: {best:,} "
            + ("is best" if clear else "has the lowest mean, but five seeds cannot tell it from all the others")
            + " ("
            + "; ".join(f"{v:,} needs {g[0]:+.3f} to {g[1]:+.3f} bits per byte more" for v, g in gaps.items())
            + ")"
        )
    run.finish(
        verdict="At equal compute, by width of the model: {by_width}. Intervals: Welch, 95 %; p values corrected by "
        "Holm within a width.",
        decision="Notebook 02 shows this record; the course takes the vocabulary that is best for the widest model, "
        "which is the one it trains.",
        by_width=". ".join(sentences),
    )
