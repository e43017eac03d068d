"""nanoGPT itself as a rival: a checkout is copied aside, given our text, and run by its own train.py.

Nothing of it is kept here; what is replaced in the copy is the line with the seed.
"""

from __future__ import annotations

import importlib.util
import json
import pickle
import re
import shutil
import statistics
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

from . import arms

SEED_LINE = "torch.manual_seed(1337 + seed_offset)"


def commit(place: Path) -> str:
    done = subprocess.run(["git", "-C", str(place), "rev-parse", "--short", "HEAD"], capture_output=True, text=True)
    return done.stdout.strip() or "unknown"


def prepare(place: Path, folder: Path, letters: int, seed: int) -> Path:
    """A copy of its code in `folder`, with our characters in the files that its train.py reads."""
    copy = folder / f"nanogpt-{seed}"
    shutil.rmtree(copy, ignore_errors=True)
    (copy / "data" / "tragedies").mkdir(parents=True)
    for name in ("train.py", "model.py", "configurator.py"):
        shutil.copy(place / name, copy / name)
    shutil.copytree(place / "config", copy / "config")
    source = (copy / "train.py").read_text(encoding="utf-8")
    if SEED_LINE not in source:
        raise SystemExit(f"error: {place}/train.py has no line {SEED_LINE!r} to put another seed in")
    (copy / "train.py").write_text(source.replace(SEED_LINE, f"torch.manual_seed({seed})"), encoding="utf-8")
    train, val = arms.split(np.load(folder / "ids.npy"))
    train.astype(np.uint16).tofile(copy / "data" / "tragedies" / "train.bin")
    val.astype(np.uint16).tofile(copy / "data" / "tragedies" / "val.bin")
    with open(copy / "data" / "tragedies" / "meta.pkl", "wb") as file:  # the form that its train.py asks for
        pickle.dump({"vocab_size": letters}, file)
    return copy


def call(copy: Path, steps: int, every: int) -> tuple[str, float]:
    """Run its train.py with its recipe for a CPU; returns what it printed, and the seconds of the process."""
    command = [
        sys.executable, "train.py", "config/train_shakespeare_char.py", "--dataset=tragedies", "--out_dir=out",
        "--device=cpu", "--compile=False", f"--eval_iters={arms.PLAIN_EVALUATION['batches']}", "--log_interval=1",
        f"--block_size={arms.CONTEXT}", f"--batch_size={arms.PLAIN_BATCH}", "--n_layer=4", "--n_head=4", "--n_embd=128",
        f"--max_iters={steps}", f"--lr_decay_iters={arms.PLAIN_STEPS}", "--dropout=0.0", f"--eval_interval={every}",
        "--always_save_checkpoint=True",
    ]  # fmt: skip
    began = time.perf_counter()
    done = subprocess.run(command, cwd=copy, capture_output=True, text=True)
    seconds = time.perf_counter() - began
    if done.returncode:
        raise SystemExit(f"error: {' '.join(command[1:])} failed:\n{done.stderr[-2000:]}")
    return done.stdout, seconds


def iterations(printed: str) -> list[float]:
    """Seconds of every iteration."""
    return [float(ms) / 1000 for ms in re.findall(r"time ([\d.]+)ms", printed)]


def train(place: Path, folder: Path, letters: int, seed: int) -> dict:
    """A training of race 1 by the checkout, judged by our evaluator."""
    copy = prepare(place, folder, letters, seed)
    printed, seconds = call(copy, arms.PLAIN_STEPS, arms.PLAIN_EVALUATION["every"])
    # An iteration with an evaluation counts as the others: the time of steps alone leaves evaluations out.
    steps = statistics.median(iterations(printed)) * arms.PLAIN_STEPS
    code = f"import json; from tests.bench import checkout; print(json.dumps(checkout.judge({str(copy)!r})))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"error: judging seed {seed} failed:\n{done.stderr[-2000:]}")
    judged = json.loads(done.stdout.strip().splitlines()[-1])
    shutil.rmtree(copy)
    tokens = arms.PLAIN_STEPS * arms.PLAIN_BATCH * arms.CONTEXT
    return {**judged, "seconds": seconds, "train_seconds": steps, "tokens": tokens}


def judge(copy: str) -> dict:
    """Loss, in the machine's format and in float32, and number of parameters of what its training left."""
    import dataclasses

    import torch

    from helpers import training

    spec = importlib.util.spec_from_file_location("nanogpt_model", Path(copy) / "model.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # its dataclass looks its module up
    spec.loader.exec_module(module)
    kept = torch.load(Path(copy) / "out" / "ckpt.pt", weights_only=True)
    model = module.GPT(module.GPTConfig(**kept["model_args"]))
    model.load_state_dict(kept["model"])
    forward = model.forward
    model.forward = lambda x, y: forward(x, y.contiguous())  # it takes a view of the targets
    val = arms.split(np.load(Path(copy).parent / "ids.npy"))[1]
    machine = arms.machine()
    full = dataclasses.replace(machine, dtype="float32")
    losses = {
        name: training.evaluate(model, val, one, 256) for name, one in (("val_loss", machine), ("in_float32", full))
    }
    return {**losses, "parameters": sum(p.numel() for p in model.parameters()), "steps": kept["iter_num"]}


def compare(place: Path, folder: Path, letters: int, turns: int = 3, steps: int = 120) -> tuple[list, list]:
    """Median seconds an iteration, of our plain model and of the checkout, in turn."""
    ours, theirs = [], []
    for turn in range(turns):
        copy = prepare(place, folder, letters, turn + 1)
        theirs.append(statistics.median(iterations(call(copy, steps, 10 * steps)[0])[10:]))
        code = f"from tests.bench import checkout; print(checkout.plain_iteration({str(folder)!r}, {letters}, {steps}))"
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
        ours.append(float(done.stdout.strip().splitlines()[-1]))
        print(f"an iteration takes {ours[-1] * 1e3:.1f} ms here, {theirs[-1] * 1e3:.1f} ms there", flush=True)
    return ours, theirs


def plain_iteration(folder: str, letters: int, steps: int) -> float:
    import dataclasses

    from helpers import gpt, training

    machine = dataclasses.replace(arms.machine(), dtype="float32")
    model = gpt.GPT(gpt.GPTConfig(letters, n_head=4, **arms.SHAPE))
    trainer = training.Trainer(model, arms.split(np.load(Path(folder) / "ids.npy"))[0], arms.plain_recipe(), machine)
    seconds = []
    for _ in range(steps):
        began = time.perf_counter()
        trainer.advance()
        seconds.append(time.perf_counter() - began)
    return statistics.median(seconds[10:])


def drop_attention(model, p: float) -> None:
    """Give a `gpt.GPT` dropout on its attention weights, as nanoGPT and the original have it."""
    import torch.nn.functional as F

    def forward(self, x, past=None):
        B, T, C = x.shape
        q, k, v = self.qkv(x).view(B, T, 3, self.n_head, C // self.n_head).permute(2, 0, 3, 1, 4)
        y = F.scaled_dot_product_attention(q, k, v, is_causal=True, dropout_p=p if self.training else 0.0)
        return self.out(y.transpose(1, 2).reshape(B, T, C))  # (B, T, C)

    for block in model.blocks:
        block.attention.forward = forward.__get__(block.attention)
