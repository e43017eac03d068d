"""What an answer costs: the classifier that notebook 05 left, as it is, with fewer bits, and in another runtime.

Every version answers the same test snippets, and is held against the first one: how many answers flip, how far the
probabilities move, whether the accuracies differ (paired). Times are taken in turn, so that all meet the same machine.
"""

from __future__ import annotations

import argparse
import copy
import io
import logging
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from helpers import classify, encoder, hardware, journal, judge, paths, profile, stats
from labjournal.markdown import number

from . import BENCHMARKS, temporary

VERSIONS = {
    "torch": "PyTorch, float32",
    "torch_bfloat16": "PyTorch, weights in bfloat16",
    "torch_int8": "PyTorch, matrices in int8",
    "onnx": "ONNX Runtime, float32",
    "onnx_int8": "ONNX Runtime, int8, a scale a matrix",
    "onnx_int8_rows": "ONNX Runtime, int8, a scale a row",
}
TURNS = 3
ALONE = 100  # texts that are asked one by one, a turn
BATCH = 32

Logits = Callable[[dict[str, torch.Tensor]], np.ndarray]  # a tokenized batch -> (items, 2)


def main(arguments: list[str]) -> int:
    argparse.ArgumentParser(prog="make bench ARGS=serving", description=__doc__.splitlines()[0]).parse_args(arguments)
    folder = paths.artifacts("checkpoints", "05_classifier")
    paths.read_manifest(folder, "05_finetune_classifier", profile.load().name)
    test = classify.split_items(classify.load_reviews()[0])[1]
    config = {"arms": VERSIONS, "snippets": len(test), "batch": BATCH}
    run = journal.start(BENCHMARKS["serving"], config=config, seed=1337, data_hash=test.hash)
    run.note("The classifier's weights: {hash}.", hash=encoder.weights_hash(folder))
    run.predict("flips_onnx_int8_rows", 25, unit="answers")
    run.predict("flips_torch_int8", 80, unit="answers")
    classifier, machine = judge.load(folder), hardware.load()
    with temporary() as place:
        made = versions(classifier, Path(place), machine.threads)
        asked = {name: answers(logits, classifier.tokenizer, test.texts) for name, (logits, _) in made.items()}
        took = in_turn({name: logits for name, (logits, _) in made.items()}, classifier.tokenizer, test.texts)
        sizes = {name: size for name, (_, size) in made.items()}
    report(run, asked, took, sizes, test)
    return 0


def versions(classifier, place: Path, threads: int) -> dict[str, tuple[Logits, int]]:
    """name -> (logits of a batch, bytes on the disk)."""
    import onnxruntime
    from onnxruntime import quantization

    model = classifier.model.cpu().float()
    whole = sum(p.numel() * p.element_size() for p in model.state_dict().values())
    made = {"torch": (by_torch(model), whole)}
    made["torch_bfloat16"] = (by_torch(copy.deepcopy(model).bfloat16()), whole // 2)
    with warnings.catch_warnings():  # both ways are old, and what comes after them cannot do this yet
        warnings.simplefilter("ignore")
        logging.getLogger().setLevel(logging.ERROR)
        int8 = torch.ao.quantization.quantize_dynamic(copy.deepcopy(model), {torch.nn.Linear}, torch.qint8)
        kept = io.BytesIO()
        torch.save(int8.state_dict(), kept)
        made["torch_int8"] = (by_torch(int8), kept.tell())
        export(model, classifier.tokenizer, place / "onnx.onnx")
        for name, per_row in (("onnx_int8", False), ("onnx_int8_rows", True)):
            quantization.quantize_dynamic(place / "onnx.onnx", place / f"{name}.onnx", per_channel=per_row)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    for name in ("onnx", "onnx_int8", "onnx_int8_rows"):
        path = place / f"{name}.onnx"
        session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        made[name] = (by_onnx(session), path.stat().st_size)
    return made


def by_torch(model) -> Logits:
    def logits(batch):
        with torch.inference_mode():
            return model(**batch).logits.float().numpy()

    return logits


def by_onnx(session) -> Logits:
    names = [one.name for one in session.get_inputs()]
    return lambda batch: session.run(None, {name: batch[name].numpy() for name in names})[0]


def export(model, tokenizer, path: Path) -> None:
    """The computation as an ONNX file; batch and length stay open."""
    batch = tokenizer(["A film.", "Another, longer one."], padding=True, return_tensors="pt")
    names = list(batch)

    class Plain(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.model = model

        def forward(self, *parts):
            return self.model(**dict(zip(names, parts, strict=True))).logits

    axes = {name: {0: "batch", 1: "length"} for name in names}
    torch.onnx.export(
        Plain(), tuple(batch[name] for name in names), str(path), input_names=names, output_names=["logits"],
        dynamic_axes={**axes, "logits": {0: "batch"}}, opset_version=17, dynamo=False,
    )  # fmt: skip


def answers(logits: Logits, tokenizer, texts: list[str]) -> np.ndarray:
    """Probability of praise for each text, asked in batches of like length: (texts,)."""
    order, found = np.argsort([len(text) for text in texts], kind="stable"), np.empty(len(texts))
    for start in range(0, len(texts), BATCH):
        index = order[start : start + BATCH]
        z = logits(tokenized(tokenizer, [texts[i] for i in index])).astype(np.float64)
        found[index] = 1 / (1 + np.exp(z[:, 0] - z[:, 1]))
    return found


def tokenized(tokenizer, texts: list[str]):
    longest = profile.Finetune().max_length
    return tokenizer(texts, truncation=True, max_length=longest, padding=True, return_tensors="pt")


def in_turn(made: dict[str, Logits], tokenizer, texts: list[str]) -> dict[str, dict[str, list[float]]]:
    """name -> "alone" and "batch" -> milliseconds of each text, and per text of each turn."""
    took = {name: {"alone": [], "batch": []} for name in made}
    few = texts[:ALONE]
    for turn in range(TURNS + 1):
        for name, logits in made.items():
            alone = []
            for text in few:
                began = time.perf_counter()
                logits(tokenized(tokenizer, [text]))
                alone.append(1000 * (time.perf_counter() - began))
            began = time.perf_counter()
            answers(logits, tokenizer, texts[: 10 * BATCH])
            if turn:  # the first warms up
                took[name]["alone"] += alone
                took[name]["batch"].append(1000 * (time.perf_counter() - began) / (10 * BATCH))
    return took


def report(run, asked: dict, took: dict, sizes: dict[str, int], test) -> None:
    right = {name: (p > 0.5) == (test.labels == 1) for name, p in asked.items()}
    verdicts = {}
    for name, p in asked.items():
        run.log(**{f"accuracy_{name}": right[name].mean()}, unit="", better="higher")
        run.log(**{f"flips_{name}": int(((p > 0.5) != (asked["torch"] > 0.5)).sum())}, unit="answers", better="lower")
        run.log(**{f"kl_{name}": classify.kl_divergence(p, asked["torch"])}, unit="nats", better="lower")
        run.log(**{f"farthest_{name}": float(np.abs(p - asked["torch"]).max())}, unit="")
        run.log(**{f"megabytes_{name}": sizes[name] / 1e6}, unit="MB", better="lower")
        alone, batch = took[name]["alone"], took[name]["batch"]
        run.log(**{f"ms_{name}": float(np.median(alone)), f"p95_{name}": float(np.percentile(alone, 95)),
                   f"batch_ms_{name}": float(np.median(batch))}, unit="ms", kind="timing")  # fmt: skip
        run.note("{name}, ms a text in batches, turn by turn: {values}.", name=VERSIONS[name],
                 values=", ".join(map(number, batch)))  # fmt: skip
        verdicts[name] = stats.compare_accuracy(right["torch"], right[name], run.seed).verdict
        run.log(**{f"verdict_{name}": verdicts[name] if name != "torch" else "–"}, unit="")
    columns = {"accuracy": "accuracy_{}", "against the first": "verdict_{}", "flips": "flips_{}", "KL": "kl_{}",
               "largest change": "farthest_{}", "size": "megabytes_{}", "alone": "ms_{}", "19 of 20 below": "p95_{}",
               "in batches": "batch_ms_{}"}  # fmt: skip
    run.table("Versions of one classifier", list(asked), columns)
    run.finish(
        verdict="In int8 with a scale a row the classifier takes {megabytes_onnx_int8_rows:.0f} MB instead of "
        "{megabytes_torch:.0f}, flips {flips_onnx_int8_rows:.0f} of {n:,} answers and has "
        "{accuracy_onnx_int8_rows:.2%} right instead of {accuracy_torch:.2%} ({word}); in batches a text takes "
        "{batch_ms_onnx_int8_rows:.1f} ms instead of {batch_ms_torch:.1f}. PyTorch's own int8 flips "
        "{flips_torch_int8:.0f}.",
        decision="Notebook 17 shows this record. Where size counts: ONNX Runtime, int8, a scale a row.",
        n=len(test), word=verdicts["onnx_int8_rows"],
    )  # fmt: skip
