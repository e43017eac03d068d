"""How fast is the tokenizer, beside Hugging Face tokenizers, tiktoken and the naive algorithm, on the same text?

One thread each, in turns; learning has a process of its own for every measurement, encoding one for each round.
Learning is timed from texts to merges, with splitting and counting. The naive algorithm is given its pieces and timed
for some merges at the beginning and some after all others, when the text has become shorter; the mean stands for all of
them. Memory is by how much the process grew at its peak over what it had with the texts and the libraries loaded.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import random
import statistics
import subprocess
import sys
import time
from collections import Counter
from itertools import pairwise
from pathlib import Path

from helpers import bpe, journal, mrclean, paths, profile
from helpers.budget import PeakMemory
from labjournal.markdown import number

from . import BENCHMARKS, temporary

VOCABULARY = 4096  # 256 bytes and merges, no specials: the same for all who learn
SAMPLE_BYTES = 5_000_000
ROUNDS = 5
TURNS = 6  # of the two compiled encoders within a round
NAIVE_MERGES = 2  # at the beginning, and as many at the end
CHARACTERS = (" ", "\n", "a", "_", "7", "é", "\0")
RUN_LENGTH = 1_000_000


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="make bench ARGS=tokenizer", description=__doc__.splitlines()[0])
    parser.parse_args(arguments)
    config = {"vocabulary": VOCABULARY, "sample_bytes": SAMPLE_BYTES, "rounds": ROUNDS, "naive_merges": NAIVE_MERGES}
    corpus = mrclean.read_corpus(profile.load().name)
    manifest = paths.read_manifest(paths.artifacts("corpus"), "01_mrclean", profile.load().name)
    run = journal.start(BENCHMARKS["tokenizer"], config=config, data_hash=manifest["hash"][:16])
    run.predict("learn_ratio", 1.0, unit="times", kind="timing")
    run.predict("per_merge_ratio", 2000, unit="times", kind="timing")
    run.predict("encode_ratio", 0.98, unit="times", kind="timing")
    run.predict("longest_run_seconds", 0.5, unit="s", kind="timing")
    with temporary() as folder:
        path, texts = Path(folder) / "texts.json", sample([row["text"] for row in corpus["train"]])
        megabytes = sum(len(text.encode("utf-8")) for text in texts) / 1e6
        merges = bpe.learn_merges(bpe.count_pieces(texts), VOCABULARY - 256)
        path.write_text(json.dumps({"texts": texts, "merges": merges}))
        learning(run, path, merges)
        encoding(run, path, megabytes)
        long_pieces(run, path)
    run.finish(
        verdict="Learning {vocabulary:,} ids from {megabytes:.1f} MB takes {learn_seconds:.2f} s, {learn_ratio:.2f} "
        "times what Hugging Face tokenizers takes ({learn_ratio_low:.2f} to {learn_ratio_high:.2f}), and a merge costs "
        "1/{per_merge_ratio:,.0f} of the naive algorithm's. Encoding runs at {encode_ratio:.2f} of tiktoken's speed "
        "({encode_ratio_low:.2f} to {encode_ratio_high:.2f}), {encode_speed:.1f} MB/s. A million times one character "
        "takes {longest_run_seconds:.2f} s at most.",
        decision="Notebook 02 shows this record; learning stays in Python, encoding goes through tiktoken.",
        vocabulary=VOCABULARY,
        megabytes=megabytes,
    )
    return 0


def sample(texts: list[str]) -> list[str]:
    """Whole documents in a random but fixed order, until there are enough bytes; the last is cut."""
    chosen, left = [], SAMPLE_BYTES
    for text in random.Random(7).sample(texts, len(texts)):
        chosen.append(text.encode("utf-8")[:left].decode("utf-8", errors="ignore"))
        left -= len(chosen[-1].encode("utf-8"))
        if left <= 0:
            break
    return chosen


def learning(run, path: Path, merges: list[tuple[int, int]]) -> None:
    names, rounds = ("learn_ours", "learn_tokenizers", "learn_naive"), []
    for turn in range(ROUNDS):
        order = names if turn % 2 == 0 else names[::-1]
        rounds.append({name: alone(name, path) for name in order})
        if rounds[-1]["learn_naive"].pop("merges") != [list(pair) for pair in merges[:NAIVE_MERGES]]:
            raise SystemExit("error: the naive algorithm found other merges; there is nothing to compare")
        print(f"learning, round {turn + 1}: {rounds[-1]}", flush=True)
    ours, theirs, naive = ([r[name] for r in rounds] for name in names)
    ratios = [a["seconds"] / b["seconds"] for a, b in zip(ours, theirs, strict=True)]
    logged(run, "learn_ratio", ratios, unit="times", better="lower")
    per_merge = [b["per_merge"] / (a["seconds"] / len(merges)) for a, b in zip(ours, naive, strict=True)]
    logged(run, "per_merge_ratio", per_merge, unit="times", better="higher")
    for name, found in (("", ours), ("_tokenizers", theirs)):
        run.log(**{f"learn_seconds{name}": middle(found, "seconds")}, unit="s", better="lower", kind="timing")
        run.log(**{f"learn_memory{name}": middle(found, "memory")}, unit="MB", better="lower", kind="timing")
    run.log(naive_seconds_per_merge=middle(naive, "per_merge"), unit="s", kind="timing")


def encoding(run, path: Path, megabytes: float) -> None:
    rounds = []
    for turn in range(ROUNDS):
        rounds.append(alone("encode", path))
        print(f"encoding, round {turn + 1}: {rounds[-1]}", flush=True)
    for model in ("", "_gpt4"):
        ratios = [r[f"tiktoken{model}"] / r[f"text{model}"] for r in rounds]
        logged(run, f"encode_ratio{model}", ratios, unit="times", better="higher")
        run.log(**{f"encode_speed{model}": megabytes / middle(rounds, f"text{model}")}, unit="MB/s", kind="timing")
    for name in ("tiktoken", "tokenizers", "plain"):
        run.log(**{f"encode_speed_{name}": megabytes / middle(rounds, name)}, unit="MB/s", kind="timing")
    run.log(encode_memory=middle(rounds, "memory"), unit="MB", better="lower", kind="timing")


def long_pieces(run, path: Path) -> None:
    found = alone("long", path)
    run.log(longest_run_seconds=max(found["encode_text"].values()), unit="s", better="lower", kind="timing")
    run.log(longest_run_seconds_plain=max(found["encode_plain"].values()), unit="s", better="lower", kind="timing")
    for name, seconds in found.items():
        listed = ", ".join(f"{c!a} {number(s)} s" for c, s in seconds.items())
        run.note(f"{RUN_LENGTH:,} times one character, {name}: {listed}.")


def logged(run, name: str, ratios: list[float], **how) -> None:
    """The median of the rounds, and their range."""
    values = {name: statistics.median(ratios), f"{name}_low": min(ratios), f"{name}_high": max(ratios)}
    run.log(**values, kind="timing", **how)
    run.note(f"{name}, round by round: {', '.join(map(number, ratios))}.")


def middle(found: list[dict], key: str) -> float:
    return statistics.median(one[key] for one in found)


def alone(work: str, path: Path) -> dict:
    """What `worker` measured, in a process of its own with one thread."""
    code = f"from tests.bench import tokenizer; tokenizer.worker({work!r}, {str(path)!r})"
    threads = {"OMP_NUM_THREADS": "1", "RAYON_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false"}
    environment = {**os.environ, **threads}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=paths.ROOT, env=environment)
    if done.returncode:
        raise SystemExit(f"error: {work} failed:\n{done.stderr[-2000:]}")
    return json.loads(done.stdout.strip().splitlines()[-1])


# -- in the process of its own -----------------------------------------------------------------------------------------


def worker(work: str, path: str) -> None:
    given = json.loads(Path(path).read_text())
    print(json.dumps(WORK[work](given["texts"], given["merges"])))


def timed(function) -> tuple[object, float, float]:
    """What `function` gives, its seconds, and by how many MB memory grew at its peak."""
    with PeakMemory() as peak:
        began = time.perf_counter()
        result = function()
        seconds = time.perf_counter() - began
    return result, seconds, peak.mb


def learn_ours(texts: list[str], merges: list) -> dict:
    _, seconds, memory = timed(lambda: bpe.learn_merges(bpe.count_pieces(texts), len(merges)))
    return {"seconds": seconds, "memory": memory}


def learn_tokenizers(texts: list[str], merges: list) -> dict:
    from tokenizers import Regex, Tokenizer, models, pre_tokenizers, trainers

    theirs = Tokenizer(models.BPE())
    theirs.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(bpe.CL100K), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=VOCABULARY, initial_alphabet=alphabet, show_progress=False)
    _, seconds, memory = timed(lambda: theirs.train_from_iterator(texts, trainer))
    if theirs.get_vocab_size() != VOCABULARY:
        raise SystemExit("error: tokenizers learned another number of tokens")
    return {"seconds": seconds, "memory": memory}


def learn_naive(texts: list[str], merges: list) -> dict:
    """Count every pair of the whole text, join the most frequent one everywhere, start again."""
    pieces = [piece for text in texts for piece in bpe.split_text(text)]
    almost_done = bpe.Tokenizer(merges[:-NAIVE_MERGES])
    encoded = {piece: almost_done.encode_piece(piece.encode("utf-8")) for piece in set(pieces)}
    seconds, learned = [], []
    for first, words in (
        (256, [list(piece.encode("utf-8")) for piece in pieces]),
        (len(almost_done.vocab), [encoded[piece] for piece in pieces]),
    ):
        found, spent, _ = timed(lambda first=first, words=words: naive_merges(words, first))
        learned.append(found)
        seconds.append(spent / NAIVE_MERGES)
    return {"per_merge": sum(seconds) / 2, "merges": learned[0]}


def naive_merges(words: list[list[int]], first: int) -> list[tuple[int, int]]:
    merges = []
    for new in range(first, first + NAIVE_MERGES):
        counts: Counter = Counter()
        for ids in words:
            counts.update(pairwise(ids))
        pair = min(counts, key=lambda pair: (-counts[pair], pair))
        merges.append(pair)
        for w, ids in enumerate(words):
            joined = []
            for i in ids:
                if joined and (joined[-1], i) == pair:
                    joined[-1] = new
                else:
                    joined.append(i)
            words[w] = joined
    return merges


def encode(texts: list[str], merges: list) -> dict:
    """Seconds of each encoder on all texts; ours and tiktoken in turns within one process, as they are so close."""
    import tiktoken

    ours, gpt4 = bpe.Tokenizer(merges), bpe.published("gpt-4")
    bpe.tiktoken_offline()
    official = tiktoken.get_encoding("cl100k_base")
    ours.encode_text("warm up")
    (ids, _, memory), found = timed(lambda: [*map(ours.encode_text, texts)]), {}
    pairs = {
        "": (ours.encode_text, ours.tiktoken.encode_ordinary),
        "_gpt4": (gpt4.encode_text, official.encode_ordinary),
    }
    for model, both in pairs.items():
        named = dict(zip((f"text{model}", f"tiktoken{model}"), both, strict=True))
        for turn in range(TURNS):
            for name in list(named)[:: 1 if turn % 2 == 0 else -1]:
                began = time.perf_counter()
                encoded = [*map(named[name], texts)]
                # The fastest turn: whatever else the machine does can only add.
                found[name] = min(found.get(name, math.inf), time.perf_counter() - began)
                if not model and encoded != ids:
                    raise SystemExit(f"error: {name} gives other ids; there is nothing to compare")
    for name, one in (("tokenizers", hugging_face(ours)), ("plain", ours.encode_plain)):
        encoded, found[name], _ = timed(lambda one=one: [*map(one, texts)])
        if encoded != ids:
            raise SystemExit(f"error: {name} gives other ids; there is nothing to compare")
    return {"memory": memory, **found}


def hugging_face(tokenizer: bpe.Tokenizer):
    theirs = bpe.to_tokenizers(tokenizer)
    return lambda text: theirs.encode(text, add_special_tokens=False).ids


def long(texts: list[str], merges: list) -> dict:
    gpt4 = bpe.published("gpt-4")
    gpt4.encode_text("warm up")
    found: dict[str, dict[str, float]] = {"encode_text": {}, "encode_plain": {}}
    for character in CHARACTERS:
        for name, seconds in found.items():
            gpt4._cache.clear()  # else the second of the two would remember what the first one worked out
            began = time.perf_counter()
            getattr(gpt4, name)(character * RUN_LENGTH)
            seconds[character] = time.perf_counter() - began
    return found


WORK = {
    "learn_ours": learn_ours,
    "learn_tokenizers": learn_tokenizers,
    "learn_naive": learn_naive,
    "encode": encode,
    "long": long,
}
