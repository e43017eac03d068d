"""A tokenizer and a GPT from text files of one's own: ``python -m helpers.own_text train --text FILE``.

    <out>/tokenizer/             tokenizer and shards: of each file the first nine tenths to train on, the rest held out
    <out>/checkpoints/step-…/    see `checkpoint`
    <out>/result.json            once the best checkpoint has been measured on all that was held out

Sizes come from the profile, everything else from the text. Two recipes, each with its own model: fast, `gpt.FastGPT`
with `recipe.fast`; classic, `gpt.GPT` with `recipe.classic`, which other libraries can load. Each start that trains
leaves a record and an entry in the journal.
"""

from __future__ import annotations

import lzma
import math
import shlex
import signal
import sys
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import filelock

from labjournal import Entry
from labjournal.markdown import clean

from .. import paths, profile

if TYPE_CHECKING:
    from ..bpe import Tokenizer
    from ..recipe import Recipe
    from ..training import Trainer

MADE_BY = "helpers.own_text train"
TRAINING = Entry(
    "gpt_train", "A GPT on your own text", "What does a GPT learn from this text?", Path(__file__),
    headline=("val_loss_all", "val_bits_per_byte"),
)  # fmt: skip
HELD_OUT = 0.1  # of each file's bytes, at its end
BYTES_PER_MERGE = 500  # of text; a merge that few places speak for would be learned by heart
RECIPES = ("fast", "classic")  # the first unless said otherwise


def train(
    files: list[Path], out: Path, resume: bool, steps: int | None, seed: int | None, recipe: str | None = None
) -> int:
    """Train on `files` into `out`; returns the exit status.

    Args:
        steps, seed, recipe: None for those that the training in `out` began with, or else the profile's, 1337 and fast.

    Raises:
        ValueError: text that cannot be read or is too short; another training in `out`; a checkpoint that belongs to
            another text or other settings, with every difference named; a recipe that is none of RECIPES.
    """
    if recipe is not None and recipe not in RECIPES:
        raise ValueError(f"recipe is {recipe!r}; it must be one of {', '.join(RECIPES)}")
    texts = read(files)
    for file, text in zip(files, texts, strict=True):
        if not all(hold_out(text)):
            raise ValueError(f"{file} is too short: nothing is left of it to hold out; leave it out, or give more text")
    if out.exists() and not out.is_dir():
        raise ValueError(f"{out} is a file; --out names a folder")
    out.mkdir(parents=True, exist_ok=True)
    try:
        with filelock.FileLock(out / ".lock", timeout=0):
            return _train(files, texts, out, resume, steps, seed, recipe)
    except filelock.Timeout:
        raise ValueError(f"another training is at work in {out}; wait for it, or name another --out") from None


def read(files: list[Path]) -> list[str]:
    """The texts.

    Raises:
        ValueError: a file is not UTF-8; names file, place and byte.
    """
    texts = []
    for file in files:
        if file.is_dir():
            raise ValueError(f"{file} is a folder; name the files in it")
        data = file.read_bytes()
        if not data.strip():
            raise ValueError(f"{file} is empty; name a file with text")
        try:
            texts.append(data.decode("utf-8-sig").replace("\r\n", "\n"))
        except UnicodeDecodeError as error:
            raise ValueError(
                f"{file} is not UTF-8: byte {data[error.start]:#04x} at {error.start:,}; save it as UTF-8, or repair "
                f"it: python -m mrclean {file} --out DIR --kind text"
            ) from error
    return texts


def hold_out(text: str) -> tuple[str, str]:
    """What to train on and what to hold out: the end, from the beginning of a line if there is one near."""
    cut = round(len(text) * (1 - HELD_OUT))
    line = text.find("\n", cut, cut + len(text) // 20) + 1
    return text[: line or cut], text[line or cut :]


@dataclass(frozen=True)
class _Settled:
    """What a training follows from: what was asked for, or what the one in the folder began with."""

    kind: str  # one of RECIPES
    recipe: Recipe
    before: list[Path]  # checkpoints, the oldest first
    tokenizer: Tokenizer
    belongs: dict  # what a checkpoint has to agree with


def _settle(texts: list[str], out: Path, resume: bool, steps: int | None, seed: int | None, chosen) -> _Settled:
    from .. import checkpoint, journal

    settings = profile.load()
    before = checkpoint.found(out / "checkpoints")
    if before and not resume:
        raise ValueError(f"{out} holds a training ({before[-1].name}); --resume goes on with it, or name another --out")
    if not before:
        (out / "result.json").unlink(missing_ok=True)  # of a training whose checkpoints somebody removed
    if resume and not (out / "tokenizer").is_dir():
        raise ValueError(f"{out} holds no training to go on with; without --resume one begins there")
    tokenizer, manifest = _tokens(texts, out / "tokenizer", settings, before)
    kind, earlier = _began(before, settings.name) if before else (chosen or RECIPES[0], {})
    if chosen not in (None, kind):
        raise ValueError(
            f"the training in {out} began with --recipe {kind} and cannot go on with {chosen}; leave --recipe out, or "
            "name another --out"
        )
    seed = journal.chosen_seed(seed if seed is not None else earlier.get("seed", 1337))
    belongs = {"made_by": MADE_BY, "profile": settings.name, "tokenizer_hash": tokenizer.hash}
    recipe = _recipe(kind, settings.gpt, steps or earlier.get("max_iters"), seed)
    return _Settled(kind, recipe, before, tokenizer, {**belongs, "data_hash": manifest["data_hash"]})


def _trainer(settled: _Settled, train_ids, machine) -> tuple[Trainer, float]:
    """A trainer at its first step, and the seconds of a step, by a trial that leaves no trace in it."""
    from .. import budget, gpt, hardware, training

    sizes, recipe = profile.load().gpt, settled.recipe
    shape = {key: getattr(sizes, key) for key in ("block_size", "n_layer", "n_head", "n_embd", "dropout")}
    config = {"fast": gpt.FastConfig, "classic": gpt.GPTConfig}[settled.kind](settled.tokenizer.vocab_size, **shape)
    hardware.seed_everything(recipe.seed)
    trial = training.Trainer(gpt.make(config), train_ids, recipe, machine)
    training.check_parity(trial.model, training.batch(train_ids, recipe, 0, config.block_size)[0][:1], machine)
    step_seconds = budget.seconds_per_step(trial.advance, warm=2, timed=8)
    del trial  # before there is another
    hardware.seed_everything(recipe.seed)
    return training.Trainer(gpt.make(config), train_ids, recipe, machine), step_seconds


def _train(
    files: list[Path],
    texts: list[str],
    out: Path,
    resume: bool,
    steps: int | None,
    seed: int | None,
    chosen: str | None,
) -> int:
    from .. import checkpoint, hardware, journal, shards

    settled = _settle(texts, out, resume, steps, seed, chosen)
    tokenizer, recipe = settled.tokenizer, settled.recipe
    held_out = "".join(hold_out(text)[1] for text in texts).encode("utf-8")
    train_ids, val_ids = (shards.read(out / "tokenizer", side, tokenizer, MADE_BY)[0] for side in ("train", "val"))
    machine = hardware.known() or _probe()
    trainer, step_seconds = _trainer(settled, train_ids, machine)
    if settled.before:
        if told := checkpoint.restore(trainer, settled.before[-1], **settled.belongs):
            print(f"{told}; what follows is a good training, but not bit for bit the one without a break")
        if trainer.step == recipe.max_iters and (out / "result.json").is_file():
            print(f"the training in {out} is done, {trainer.step:,} steps; name another --out for a new one")
            return 0

    run = journal.start(
        TRAINING,
        config={
            "recipe": settled.kind,
            **asdict(trainer.model.config),
            **asdict(recipe),
            "files": [file.name for file in files],
        },
        data_hash=settled.belongs["data_hash"][:16],
        seed=recipe.seed,
        resumed_from=_known(settled.before),
    )
    try:
        _announce(run, trainer, held_out, step_seconds)
        print(f"checkpoints: {out / 'checkpoints'}")
        before_seconds = trainer.seconds
        if trainer.step < recipe.max_iters:
            _watched(run, trainer, val_ids, tokenizer, lambda: checkpoint.save(
                trainer, out / "checkpoints", **settled.belongs, run_id=run.record["run_id"]))  # fmt: skip
        run.log(train_seconds=trainer.seconds - before_seconds, unit="s", better="lower", kind="timing")
        _measure(run, out, tokenizer, val_ids, len(held_out), machine, recipe.batch_size)
    except KeyboardInterrupt:
        run.close("interrupted")
        same = ["--recipe", settled.kind, "--steps", str(recipe.max_iters), "--seed", str(recipe.seed)]
        same += ["--profile", settled.belongs["profile"], "--resume"]
        again = shlex.join(["--text", *map(str, files), "--out", str(out), *same])
        print(
            f"stopped after step {trainer.step:,} of {recipe.max_iters:,}; go on with:\n"
            f"python -m helpers.own_text train {again}",
            file=sys.stderr,
        )
        return 1
    except BaseException as error:
        run.close("failed", error)
        raise
    print(f"write with it:\npython -m helpers.own_text sample {shlex.join(['--model', str(out), '--prompt', 'Once'])}")
    return 0


def _announce(run, trainer: Trainer, held_out: bytes, step_seconds: float) -> None:
    """Predictions, and how much there is to do."""
    from .. import budget

    recipe = trainer.recipe
    xz = 8 * len(lzma.compress(held_out, preset=9 | lzma.PRESET_EXTREME)) / len(held_out)
    run.log(xz_bits_per_byte=xz, unit="bits/byte", better="lower")
    run.predict("val_bits_per_byte", xz, unit="bits/byte")  # the guess: as good as a packer
    seconds = step_seconds * (recipe.max_iters - trainer.step)
    run.predict("train_seconds", seconds, unit="s", kind="timing")
    run.say(
        "{total:,} parameters, {tokens:,} tokens to train on, which {steps:,} steps read {passes:.1f} times; about "
        "{time} to go. At every evaluation a checkpoint is kept: the last two, and the best.",
        total=sum(p.numel() for p in trainer.model.parameters()), tokens=len(trainer.ids), steps=recipe.max_iters,
        passes=recipe.max_iters * recipe.batch_size * trainer.model.config.block_size / len(trainer.ids),
        time=budget.duration(seconds),
    )  # fmt: skip


def _measure(run, out: Path, tokenizer: Tokenizer, val_ids, size: int, machine, batch_size: int) -> None:
    """The best checkpoint on everything that was held out, `size` bytes of text; closes the run."""
    from .. import checkpoint, training

    best = checkpoint.best(out / "checkpoints")
    model = checkpoint.load_model(best, MADE_BY, profile.load().name, tokenizer).to(machine.device)
    val_loss = training.evaluate(model, val_ids, machine, batch_size)
    per_byte = training.bits_per_byte(val_loss, len(val_ids) - 1, size)
    run.log(val_loss_all=val_loss, unit="nats/token", better="lower")
    run.log(perplexity=math.exp(val_loss), unit="", better="lower")
    run.log(val_bits_per_byte=per_byte, unit="bits/byte", better="lower")
    run.finish(
        verdict="The best checkpoint ({best}) needs {val_bits_per_byte:.2f} bits per byte on the held-out end of "
        "the text; xz, which sees only that, {xz_bits_per_byte:.2f}.",
        decision="Write with it: python -m helpers.own_text sample.",
        best=best.name,
    )  # fmt: skip
    found = {"run_id": run.record["run_id"], "best": best.name, "val_bits_per_byte": per_byte}
    paths.write_json(out / "result.json", found)


def _began(before: list[Path], profile_name: str) -> tuple[str, dict]:
    """Which of RECIPES the training has that left the checkpoints `before`, and the fields of its `recipe.Recipe`.

    Raises:
        ValueError: the newest is damaged; says what to delete to go on from the one before it.
    """
    from .. import gpt

    *others, newest = before
    try:
        paths.read_manifest(newest, MADE_BY, profile_name)
    except paths.MissingArtifact as error:
        rest = f"to go on from {others[-1].name}" if others else "to begin anew"
        raise ValueError(f"{error}. Delete the folder {newest} {rest}") from error
    kind = "fast" if isinstance(gpt.files.config(newest), gpt.FastConfig) else "classic"
    return kind, paths.read_json(newest / "state.json")["recipe"]


def _recipe(kind: str, settings: profile.Gpt, steps: int | None, seed: int):
    """The profile's, with as many evaluations when there are fewer steps."""
    from .. import training

    recipe = {"fast": training.fast, "classic": training.classic}[kind](settings, seed)
    if steps is None:
        return recipe
    return replace(recipe, max_iters=steps, eval_interval=max(1, min(recipe.eval_interval, steps // 10)))


def _watched(run, trainer, val_ids, tokenizer, save) -> None:
    """Train to the end, or to a step after which somebody asked to stop: then all is kept, and KeyboardInterrupt."""
    import torch

    from .. import gpt, training

    recipe, device, asked = trainer.recipe, trainer.machine.device, []

    def ask(number, frame) -> None:
        asked.append(number)
        print("\nstopping after this step", file=sys.stderr)

    def stop_if_asked(trainer) -> None:
        if asked and trainer.step < recipe.max_iters:  # between two steps, where everything fits together
            save()
            raise KeyboardInterrupt

    def told(step: int, train_loss: float, val_loss: float, gradient_norm, tokens_per_second) -> None:
        run.log(step=step, train_loss=train_loss, val_loss=val_loss, unit="nats/token", better="lower")
        generator = torch.Generator(device).manual_seed(recipe.seed)
        start = torch.tensor([[tokenizer.bos]], device=device)
        written = gpt.generate(trainer.model, start, 40, temperature=0.8, top_k=50, generator=generator)[0, 1:].tolist()
        line = clean(tokenizer.decode(written))
        print(
            f"\nstep {step:,} of {recipe.max_iters:,}: train {train_loss:.3f}, val {val_loss:.3f} nats/token | {line}"
        )

    heard = [signal.SIGINT, signal.SIGTERM]
    if hasattr(signal, "SIGHUP") and signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # as under nohup
        heard.append(signal.SIGHUP)
    handlers = {number: signal.signal(number, ask) for number in heard}
    try:
        with run.watch(
            recipe.max_iters, unit="nats/token", first=trainer.step, eval_every=recipe.eval_interval,
            save_every=recipe.eval_interval, predicted={"train_seconds": "seconds"},
        ) as watch:  # fmt: skip
            training.train_model(trainer, val_ids, told, watch, stop_if_asked, lambda trainer: save())
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)


def _tokens(texts: list[str], folder: Path, settings: profile.Profile, checkpoints: list[Path]):
    """Tokenizer and manifest of the shards: those in `folder` if they were made of this text, else new ones.

    Raises:
        MissingArtifact: checkpoints need those in `folder`, and they are damaged or of another profile.
        ValueError: checkpoints were trained on other text; this text is too short.
    """
    from .. import bpe, shards

    corpus_hash = paths.sha256("".join(paths.sha256(text) for text in texts))
    try:
        manifest = paths.read_manifest(folder, MADE_BY, settings.name)
        if manifest["corpus_hash"] == corpus_hash:
            return bpe.load_tokenizer(folder), manifest
        if checkpoints:
            raise ValueError(
                f"{folder} was made from other text, and {checkpoints[-1].name} trained on it; give the same --text, "
                "or name another --out"
            )
    except paths.MissingArtifact:
        if checkpoints:
            raise
    sides = list(zip(*map(hold_out, texts), strict=True))
    size = sum(len(text.encode("utf-8")) for text in sides[0])
    wanted = min(settings.tokenize.vocab_size - 258, size // BYTES_PER_MERGE)  # 256 bytes, beginning and end
    tokenizer = bpe.Tokenizer(bpe.learn_merges(bpe.count_pieces(sides[0]), wanted))  # a monotonous text allows fewer
    count, need = sum(len(tokenizer.encode_text(text)) + 2 for text in sides[0]), settings.gpt.block_size + 1
    if count < need:
        raise ValueError(
            f"the text is too short, or says too much the same: {size:,} bytes to train on are {count} tokens, and a "
            f"window of the model needs {need}"
        )
    return tokenizer, shards.write(folder, tokenizer, {"train": sides[0], "val": sides[1]}, corpus_hash, MADE_BY)


def _probe():
    from .. import hardware

    print("measuring this machine, about ten seconds, once", file=sys.stderr)
    found = hardware.probe()
    hardware.save(found)
    return found


def _known(before: list[Path]) -> str | None:
    """The run that made the newest checkpoint, if this journal has it."""
    run_id = paths.read_json(before[-1] / "manifest.json").get("run_id") if before else None
    return run_id if run_id and (paths.journal_dir() / "runs" / run_id / "run.json").is_file() else None
