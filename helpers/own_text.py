"""A tokenizer and a GPT from text files of one's own: ``python -m helpers.gpt train --text FILE``.

    <out>/tokenizer/             tokenizer and shards: of each file the first nine tenths to train on, the rest held out
    <out>/checkpoints/step-…/    see `checkpoint`

Sizes come from the profile, everything else from the text. Each start leaves a record and an entry in the journal.
"""

from __future__ import annotations

import lzma
import math
import signal
import sys
from pathlib import Path

import filelock

from . import course, paths, profile

OUT = Path("artifacts") / "my_gpt"
MADE_BY = "helpers.gpt train"
HELD_OUT = 0.1  # of each file's bytes, at its end
BYTES_PER_MERGE = 500  # of text; a merge that few places speak for would be learned by heart


class Stopped(RuntimeError):
    """Asked to stop; what was done is kept."""


def train(files: list[Path], out: Path, resume: bool, steps: int | None, seed: int) -> int:
    """Train on `files` into `out`; returns the exit status.

    Raises:
        ValueError: text that cannot be read or is too short; another training in `out`; a checkpoint that belongs to
            another text or other settings, with every difference named.
    """
    texts = read(files)
    out.mkdir(parents=True, exist_ok=True)
    try:
        with filelock.FileLock(out / ".lock", timeout=0):
            return _train(files, texts, out, resume, steps, seed)
    except filelock.Timeout:
        raise ValueError(f"another training is at work in {out}; wait for it, or name another --out") from None


def read(files: list[Path]) -> list[str]:
    """The texts.

    Raises:
        ValueError: a file is not UTF-8; names file, place and byte.
    """
    texts = []
    for file in files:
        data = file.read_bytes()
        if not data.strip():
            raise ValueError(f"{file} is empty; name a file with text")
        try:
            texts.append(data.decode("utf-8-sig").replace("\r\n", "\n"))
        except UnicodeDecodeError as error:
            raise ValueError(
                f"{file} is not UTF-8: byte {data[error.start]:#04x} at {error.start:,}; save it as UTF-8, or repair "
                f"it: python -m helpers.mrclean {file} --out DIR --kind text"
            ) from error
    return texts


def split(text: str) -> tuple[str, str]:
    """What to train on and what to hold out: the end, from the beginning of a line if there is one near."""
    cut = round(len(text) * (1 - HELD_OUT))
    line = text.find("\n", cut, cut + len(text) // 20) + 1
    return text[: line or cut], text[line or cut :]


def _train(files: list[Path], texts: list[str], out: Path, resume: bool, steps: int | None, seed: int) -> int:
    from dataclasses import replace

    import torch

    from . import budget, checkpoint, gpt, hardware, journal, shards, training

    settings, name = profile.load(), profile.load().name
    folder = out / "checkpoints"
    before = checkpoint.found(folder)
    if before and not resume:
        raise ValueError(f"{out} holds a training ({before[-1].name}); --resume goes on with it, or name another --out")
    machine = hardware.known() or _probe()
    tokenizer, manifest = _tokens(
        texts, out / "tokenizer", settings.tokenize.vocab_size, settings.gpt.block_size, before
    )
    train_ids, val_ids = (shards.read(out / "tokenizer", side, tokenizer, MADE_BY)[0] for side in ("train", "val"))
    recipe = training.classic(settings.gpt, seed)
    if steps is not None:
        recipe = replace(recipe, max_iters=steps, eval_interval=max(1, min(recipe.eval_interval, steps // 10)))
    shape = {key: getattr(settings.gpt, key) for key in ("block_size", "n_layer", "n_head", "n_embd", "dropout")}
    config = gpt.GPTConfig(vocab_size=tokenizer.vocab_size, **shape)
    facts = {"tokenizer_hash": tokenizer.hash, "data_hash": manifest["data_hash"]}

    hardware.seed_everything(seed)
    trainer = training.Trainer(gpt.GPT(config), train_ids, recipe, machine)
    resumed_from = None
    if before:
        checkpoint.restore(trainer, before[-1], MADE_BY, name, **facts)
        resumed_from = paths.read_json(before[-1] / "manifest.json").get("run_id")
        if trainer.step == recipe.max_iters:
            print(f"the training in {out} is done, {trainer.step:,} steps; name another --out for a new one")
            return 0

    run = journal.start(
        course.TRAINING.name,
        config={**vars(settings.gpt), "max_iters": recipe.max_iters, "vocab_size": tokenizer.vocab_size,
                "files": [file.name for file in files], "bytes": sum(manifest["bytes"].values())},
        data_hash=manifest["data_hash"][:16],
        seed=seed,
        resumed_from=resumed_from if resumed_from and _known(resumed_from) else None,
    )  # fmt: skip
    held_out = "".join(split(text)[1] for text in texts).encode("utf-8")
    xz = 8 * len(lzma.compress(held_out, preset=9)) / len(held_out)
    run.log(xz_bits_per_byte=xz, unit="bits/byte", better="lower")
    run.predict("val_bits_per_byte", xz, unit="bits/byte")  # the guess: as good as a compressor
    toy = training.Trainer(gpt.GPT(config), train_ids, recipe, machine)
    left = recipe.max_iters - trainer.step
    seconds = left * budget.seconds_per_step(toy.advance, warm=2, timed=8)
    del toy
    run.predict("train_seconds", seconds, unit="s", kind="timing")
    passes = recipe.max_iters * recipe.batch_size * config.block_size / len(train_ids)
    run.say(
        "{total:,} parameters, {tokens:,} tokens to train on, which {steps:,} steps read {passes:.1f} times; about "
        "{time} to go. At every evaluation a checkpoint is kept in {folder}: the last two and the best.",
        total=sum(budget.parameters(config).values()), tokens=len(train_ids), steps=recipe.max_iters, passes=passes,
        time=budget.duration(seconds), folder=paths.shown(folder),
    )  # fmt: skip

    asked: list[int] = []
    handlers = {number: signal.signal(number, lambda got, frame: asked.append(got)) for number in _signals()}

    def save(trainer: training.Trainer) -> Path:
        return checkpoint.save(trainer, folder, MADE_BY, name, **facts, run_id=run.record["run_id"])

    def stop_if_asked(trainer: training.Trainer) -> None:
        if asked and trainer.step < recipe.max_iters:  # between two steps, where everything fits together
            save(trainer)
            raise Stopped

    def told(step: int, train_loss: float, val_loss: float, gradient_norm, tokens_per_second) -> None:
        run.log(step=step, train_loss=train_loss, val_loss=val_loss, unit="nats/token", better="lower")
        generator = torch.Generator(machine.device).manual_seed(seed)
        start = torch.tensor([[tokenizer.bos]], device=machine.device)
        written = gpt.generate(trainer.model, start, 40, temperature=0.8, top_k=50, generator=generator)[0, 1:].tolist()
        line = " ".join(tokenizer.decode(written).split())
        print(
            f"\nstep {step:,} of {recipe.max_iters:,}: train {train_loss:.3f}, val {val_loss:.3f} nats/token | {line}"
        )

    earlier = trainer.seconds
    try:
        with run.watch(
            recipe.max_iters, unit="nats/token", first=trainer.step, eval_every=recipe.eval_interval,
            save_every=recipe.eval_interval, predicted={"train_seconds": "seconds"},
        ) as watch:  # fmt: skip
            training.train(trainer, val_ids, told, watch, stop_if_asked, save)
    except Stopped:
        run.close("interrupted")
        again = f"python -m helpers.gpt train --text {' '.join(map(str, files))} --out {out} --resume"
        print(f"stopped after step {trainer.step:,} of {recipe.max_iters:,}; go on with:\n{again}", file=sys.stderr)
        return 1
    except training.NonFiniteLoss as error:
        run.close("failed", error)
        raise ValueError(str(error)) from error
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)

    best = checkpoint.best(folder)
    model = checkpoint.load(best, MADE_BY, name, tokenizer).to(machine.device)
    val_loss = training.evaluate(model, val_ids, machine, recipe.batch_size)
    per_byte = training.bits_per_byte(val_loss, len(val_ids) - 1, len(held_out))
    run.log(train_seconds=trainer.seconds - earlier, unit="s", better="lower", kind="timing")
    run.log(val_loss_all=val_loss, unit="nats/token", better="lower")
    run.log(perplexity=math.exp(val_loss), unit="", better="lower")
    run.log(val_bits_per_byte=per_byte, unit="bits/byte", better="lower")
    run.finish(
        verdict="The best checkpoint ({best}) needs {val_bits_per_byte:.2f} bits per byte on the held-out end of the "
        "text; xz, which sees only that, {xz_bits_per_byte:.2f}.",
        decision="python -m helpers.gpt sample --model {out} --prompt … writes with it.",
        best=best.name, out=paths.relative(out),
    )  # fmt: skip
    return 0


def _tokens(texts: list[str], folder: Path, vocab_size: int, block_size: int, checkpoints: list[Path]):
    """Tokenizer and manifest of the shards: those in `folder` if they were made of this text, else new ones."""
    from . import bpe, shards

    corpus_hash = paths.sha256("".join(paths.sha256(text) for text in texts))
    if (folder / "manifest.json").is_file():
        manifest = paths.read_manifest(folder, MADE_BY, profile.load().name)
        if manifest["corpus_hash"] == corpus_hash:
            return bpe.load(folder), manifest
    if checkpoints:
        raise ValueError(
            f"{folder} was made from other text, and {checkpoints[-1]} trained on it; give the same --text, or name "
            "another --out"
        )
    sides = list(zip(*map(split, texts), strict=True))
    size = sum(len(text.encode("utf-8")) for text in sides[0])
    wanted = min(vocab_size - 258, size // BYTES_PER_MERGE)  # 256 bytes, beginning and end
    tokenizer = bpe.Tokenizer(bpe.learn_merges(bpe.count_pieces(sides[0]), wanted))  # a monotonous text allows fewer
    need = block_size + 1
    counts = [sum(len(tokenizer.encode_text(text)) + 2 for text in side) for side in sides]
    if counts[0] < need or not all(sides[1]):
        raise ValueError(
            f"the text is too short: {counts[0]} tokens to train on and {counts[1]} held out; a window needs {need}, "
            f"about {need * 10:,} bytes"
        )
    splits = {"train": sides[0], "val": sides[1]}
    return tokenizer, shards.write(folder, tokenizer, splits, corpus_hash, MADE_BY)


def _probe():
    from . import hardware

    print("measuring this machine, about ten seconds, once", file=sys.stderr)
    found = hardware.probe()
    hardware.save(found)
    return found


def _signals() -> list[int]:
    return [signal.SIGINT, signal.SIGTERM]


def _known(run_id: str) -> bool:
    return (paths.journal_dir() / "runs" / run_id / "run.json").is_file()
