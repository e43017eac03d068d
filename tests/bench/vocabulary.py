"""Which vocabulary? Bits per byte of small models that differ in nothing but the tokenizer, at equal compute.

Three vocabularies, five seeds, the shape and recipe of notebook 03's model. A larger vocabulary puts more text into a
token, and so into a step and into the context; but it takes a larger matrix, which costs more operations per token, and
each of its rows is seen more rarely. So every arm gets the same number of operations (`budget.flops_per_token`), not of
steps.

An earlier record (run a17b) has four sizes with 6 trillion operations. There 1,024 was best, and most runs with 512 and
with 4,096 had not yet left the plateau on which a model only knows how frequent each token is. More operations shift
that, so a record holds for its number of operations.

The merges are nested: the smaller vocabularies are the beginnings of the largest. All arms are measured on the same
bytes: the beginning of every validation document.
"""

from __future__ import annotations

import argparse
import multiprocessing
import statistics
from concurrent.futures import ProcessPoolExecutor

import numpy as np

from helpers import bpe, budget, gpt, hardware, journal, mrclean, paths, profile, stats, training
from labjournal.markdown import number

from . import BENCHMARKS

SEEDS = (1, 2, 3, 4, 5)
VOCABULARIES = (1024, 2048, 4096)
OPERATIONS = 8.3e12  # of one training: half of what notebook 03 spent with the vocabulary of 4,096
VAL_CHARACTERS = 2_000  # of every validation document, from its beginning


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="make bench ARGS=vocabulary", description=__doc__.splitlines()[0])
    parser.parse_args(arguments)
    settings = profile.load()
    manifest = paths.read_manifest(paths.artifacts("corpus"), "01_mrclean", settings.name)
    config = {**vars(settings.gpt), "operations": OPERATIONS, "val_characters": VAL_CHARACTERS, "seeds": len(SEEDS)}
    config["vocabularies"] = list(VOCABULARIES)
    for unused in ("max_iters", "eval_interval", "eval_batches"):
        del config[unused]
    run = journal.start(BENCHMARKS["vocabulary"], config=config, data_hash=manifest["hash"][:16])
    run.predict("best_vocabulary", 2048, unit="ids")
    for vocab_size, guess in zip(VOCABULARIES, (2.52, 2.46, 2.5), strict=True):
        run.predict(f"bits_per_byte_{vocab_size}", guess, unit="bits/byte")
    # One thread a training, as many trainings as cores: small matrices do not share well.
    cores, spawn = hardware.usable_cores(), multiprocessing.get_context("spawn")
    found: dict[int, list[float]] = {v: [] for v in VOCABULARIES}
    with ProcessPoolExecutor(cores, mp_context=spawn, initializer=prepare, initargs=(settings.name,)) as pool:
        arms = [(seed, v) for seed in SEEDS for v in VOCABULARIES]
        for (seed, v), answer in zip(arms, pool.map(one, *zip(*arms, strict=True)), strict=True):
            found[v].append(answer["bits_per_byte"])
            if seed == SEEDS[0]:
                run.log(**{f"steps_{v}": answer["steps"]}, unit="steps")
            print(f"seed {seed}, vocabulary {v}: {number(found[v][-1])} bits per byte", flush=True)
    report(run, found, settings)
    return 0


def prepare(name: str) -> None:
    """Once in every process: the texts and the merges."""
    import torch

    global corpus, merges, settings
    torch.set_num_threads(1)
    settings = profile.load(name)
    corpus = {side: [row["text"] for row in rows] for side, rows in mrclean.read_corpus(name).items()}
    corpus["val"] = [text[:VAL_CHARACTERS] for text in corpus["val"]]
    merges = bpe.train_tokenizer(corpus["train"], max(VOCABULARIES)).merges


def one(seed: int, vocab_size: int) -> dict[str, float]:
    """Bits per byte of validation text after one training of about `OPERATIONS`, and how many steps that was."""
    tokenizer = bpe.Tokenizer(merges[: vocab_size - 258])
    train, val = (stream(tokenizer, texts) for texts in corpus.values())
    shape = {name: getattr(settings.gpt, name) for name in ("n_layer", "n_head", "n_embd", "block_size", "dropout")}
    config = gpt.GPTConfig(vocab_size=vocab_size, **shape)
    steps = round(OPERATIONS / (budget.flops_per_token(config) * settings.gpt.batch_size * config.block_size))
    recipe = training.Recipe(
        max_iters=steps,
        eval_interval=steps,
        batch_size=settings.gpt.batch_size,
        learning_rate=settings.gpt.learning_rate,
        seed=seed,
    )
    machine = hardware.known() or hardware.probe()
    hardware.seed_everything(seed)
    trainer = training.Trainer(gpt.GPT(config), train, recipe, machine)
    for _ in range(steps):
        trainer.advance()
    loss = training.evaluate(trainer.model, val, machine, 16)
    size = sum(len(text.encode("utf-8")) for text in corpus["val"])
    bits = training.bits_per_byte(loss, len(val) - 1, size)
    return {"bits_per_byte": bits, "steps": steps}


def stream(tokenizer: bpe.Tokenizer, texts: list[str]) -> np.ndarray:
    """All documents one after the other, each with its beginning marked: (tokens,) uint16."""
    parts = [np.append(np.uint16(tokenizer.bos), tokenizer.encode_array(text).astype(np.uint16)) for text in texts]
    return np.concatenate(parts)


def report(run, found: dict[int, list[float]], settings) -> None:
    means = {v: statistics.fmean(bits) for v, bits in found.items()}
    best = min(means, key=means.get)
    rivals = [v for v in VOCABULARIES if v != best]
    gaps = {v: stats.mean_difference(np.array(found[best]), np.array(found[v]), paired=False) for v in rivals}
    p_values = [gap[2] for gap in gaps.values()]
    levels = stats.holm(p_values)
    run.log(best_vocabulary=best, unit="ids")
    for v, bits in found.items():
        run.log(**{f"bits_per_byte_{v}": means[v]}, unit="bits/byte", better="lower")
        run.log(**{f"bits_per_byte_{v}_sd": statistics.stdev(bits)}, unit="bits/byte")
        run.note(f"vocabulary {v:,}, seed by seed: {', '.join(map(number, bits))} bits per byte.")
    for (v, (low, high, p)), level in zip(gaps.items(), levels, strict=True):
        run.log(**{f"more_{v}_low": low, f"more_{v}_high": high}, unit="bits/byte")
        run.log(**{f"verdict_{v}": "worse" if p <= level else "cannot tell"}, unit="")
    said = [f"{v:,} needs {low:+.3f} to {high:+.3f} more" for v, (low, high, _) in gaps.items()]
    clear = all(p <= level for p, level in zip(p_values, levels, strict=True))
    whole = settings.gpt.max_iters * settings.gpt.batch_size * settings.gpt.block_size
    shape = {name: getattr(settings.gpt, name) for name in ("n_layer", "n_head", "n_embd", "block_size", "dropout")}
    course = whole * budget.flops_per_token(gpt.GPTConfig(vocab_size=settings.tokenize.vocab_size, **shape))
    run.log(share_of_course=OPERATIONS / course, unit="")
    run.finish(
        verdict="With {operations:.0f} trillion operations each ({share_of_course:.0%} of what notebook 03 spends) and "
        "five seeds, the vocabulary of {best_vocabulary:,} {outcome}: {gaps} bits per byte (Welch, 95 %; verdicts "
        "corrected by Holm).",
        decision="Notebook 02 shows this record.",
        operations=OPERATIONS / 1e12,
        outcome="is best" if clear else "has the lowest mean, but is not told from every other",
        gaps="; ".join(said),
    )
