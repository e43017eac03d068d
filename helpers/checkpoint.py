"""Checkpoints of a training: everything that going on exactly needs, each whole or not at all.

    <folder>/step-000500/  model.safetensors    the weights
                           config.json          the model's shape
                           trainer.safetensors  the optimizers' state, loss and gradient norm of every step
                           state.json           step, recipe, evaluations
                           manifest.json        what it belongs to: tokenizer, data; and the hash of every file

Chance needs no state of its own: batch and dropout of a step follow from (seed, step), and so does the learning rate.
The last two are kept, and the one with the lowest validation loss. No pickle: a file cannot run code when it is opened.
"""

from __future__ import annotations

import os
import shutil
from dataclasses import asdict
from pathlib import Path

import torch

from . import paths
from .bpe import Tokenizer
from .gpt import GPT, FastGPT, files
from .muon import Muon
from .recipe import Recipe
from .training import Evaluation, Trainer

KEPT = 2


class Mismatch(ValueError):
    """A checkpoint that belongs to something else; the message names every difference."""


def found(folder: Path) -> list[Path]:
    """The finished checkpoints in `folder`, the oldest first."""
    places = [path.parent for path in Path(folder).glob("step-*/manifest.json") if _step(path.parent) is not None]
    return sorted(places, key=_step)


def last(folder: Path) -> Path:
    """The newest one.

    Raises:
        MissingArtifact: there is none.
    """
    every = found(folder)
    if not every:
        raise paths.MissingArtifact(
            f"{paths.relative(folder)} holds no checkpoint; train first: notebooks/03_gpt.ipynb, or "
            "python -m helpers.own_text train --text FILE"
        )
    return every[-1]


def best(folder: Path) -> Path:
    """The one with the lowest validation loss, the earliest of equals; the newest where none was evaluated."""
    newest = last(folder)
    losses = {path: manifest(path).get("val_loss") for path in found(folder)}
    known = {path: loss for path, loss in losses.items() if loss is not None}
    for path, loss in known.items():
        if isinstance(loss, bool) or not isinstance(loss, (int, float)):
            raise ValueError(
                f"{paths.relative(path)}/manifest.json: val_loss is {loss!r}, no number; delete the folder"
            )
    return min(known, key=known.get) if known else newest


def save(trainer: Trainer, folder: Path, made_by: str, profile: str, **facts) -> Path:
    """Write a checkpoint of `trainer` into `folder`, then drop those that are no longer kept; returns its place.

    It is written under a hidden name and renamed when the disk has all of it: a process that is killed in between
    leaves nothing that could be taken for a checkpoint.

    Args:
        facts: what it belongs to, such as tokenizer_hash and data_hash; `restore` insists on the same.
    """
    from safetensors.torch import save as to_bytes

    folder = Path(folder)
    place, part = folder / f"step-{trainer.step:06d}", folder / f".step-{trainer.step:06d}.part"
    for stale in folder.glob(".step-*"):  # of a process that was killed
        shutil.rmtree(stale)
    part.mkdir(parents=True)
    files.save(trainer.model, part)
    tensors = {f"optimizer.{name}.{key}": value.cpu().contiguous() for name, key, value in _optimizer_state(trainer)}
    for name in ("losses", "norms"):
        tensors[name] = torch.tensor(getattr(trainer, name), dtype=torch.float64)
    paths.write_atomic(part / "trainer.safetensors", to_bytes(tensors))
    evaluations = [asdict(evaluation) for evaluation in trainer.evaluations]
    state = {"step": trainer.step, "seconds": trainer.seconds, "recipe": asdict(trainer.recipe)}
    state["numerics"] = _numerics(trainer)
    paths.write_json(part / "state.json", {**state, "evaluations": evaluations})
    val_loss = {e.step: e.val_loss for e in trainer.evaluations}.get(trainer.step)
    paths.write_manifest(part, made_by, profile, **facts, step=trainer.step, val_loss=val_loss)
    if place.exists():  # the same step once more: aside first, so that there is one at any time
        os.replace(place, folder / f".{place.name}.old")
    os.replace(part, place)
    _drop(folder, place)
    return place


def clear(folder: Path) -> None:
    """Remove `folder` with every checkpoint, for a training that begins anew."""
    if Path(folder).exists():
        shutil.rmtree(folder)


def restore(trainer: Trainer, place: Path, made_by: str, profile: str, **facts) -> str:
    """Put `trainer`, freshly made, where the checkpoint in `place` stood: the next step is what it would have been.

    Returns "", or in words what is different about the machine: then what follows is as good, but not bit for bit.

    Raises:
        MissingArtifact: it is unfinished, changed since it was made, or made with another profile.
        Mismatch: it belongs to another model, recipe, tokenizer or data; every difference is named.
        ValueError: what it holds does not fit, or is not finite.
    """
    manifest = paths.read_manifest(place, made_by, profile)
    state = _read_state(place, manifest)
    wanted = {**facts, **asdict(trainer.model.config), **asdict(trainer.recipe)}
    have = {**{name: manifest.get(name) for name in facts}, **asdict(files.config(place)), **asdict(state["recipe"])}
    differing = [
        f"{name} is {_short(have.get(name))} there and {_short(wanted.get(name))} here"
        for name in sorted({*wanted, *have})
        if have.get(name) != wanted.get(name)
    ]
    if differing:
        raise Mismatch(f"{paths.relative(place)} does not belong to this training: {'; '.join(differing)}")
    trainer.model.load_state_dict(files.load(place).state_dict())
    tensors = files.tensors(place / "trainer.safetensors")
    if broken := sorted(name for name, value in tensors.items() if not value.isfinite().all()):
        raise ValueError(f"{paths.relative(place)}: trainer.safetensors has no numbers in {', '.join(broken[:3])}")
    series = {name: tensors.pop(name, torch.zeros(0)) for name in ("losses", "norms")}
    if wrong := [name for name, value in series.items() if value.shape != (state["step"],)]:
        raise ValueError(f"{paths.relative(place)}: trainer.safetensors has not one value a step in {', '.join(wrong)}")
    try:
        _set_optimizer_state(trainer, tensors, state["step"])
    except ValueError as error:
        raise ValueError(f"{paths.relative(place)}: trainer.safetensors does not fit: {error}") from error
    trainer.losses, trainer.norms = (value.tolist() for value in series.values())
    trainer.evaluations = state["evaluations"]
    trainer.step, trainer.seconds = state["step"], state["seconds"]
    here = _numerics(trainer)
    return "" if state["numerics"] == here else f"the checkpoint was made in {state['numerics']}, this is {here}"


def load_model(place: Path, made_by: str, profile: str, tokenizer: Tokenizer) -> GPT | FastGPT:
    """The model of a checkpoint, for use with `tokenizer`.

    Raises:
        MissingArtifact: unfinished, changed since it was made, or made with another profile.
        ValueError: weights that do not fit the configuration, or a tokenizer that is not the model's.
    """
    manifest = paths.read_manifest(place, made_by, profile)
    where = paths.relative(place)
    tokenizer.check_hash(manifest.get("tokenizer_hash", ""), f"the weights in {where}")
    model = files.load(place)
    if model.config.vocab_size < tokenizer.vocab_size:
        raise ValueError(
            f"the model in {where} knows {model.config.vocab_size} ids, the tokenizer has {tokenizer.vocab_size}"
        )
    return model


def manifest(place: Path) -> dict:
    found = paths.read_json(place / "manifest.json")
    if not isinstance(found, dict) or "profile" not in found:
        raise ValueError(f"{paths.relative(place)}/manifest.json is damaged; delete the folder: an older one will do")
    return found


def _read_state(place: Path, manifest: dict) -> dict:
    """state.json, checked: step, seconds, recipe (a Recipe), numerics, evaluations (a list of Evaluation)."""
    found = paths.read_json(place / "state.json")
    try:
        recipe = Recipe(**{**found["recipe"], "betas": tuple(found["recipe"]["betas"])})
        evaluations = [Evaluation(**evaluation) for evaluation in found["evaluations"]]
        step, seconds, numerics = found["step"], float(found["seconds"]), str(found["numerics"])
        if type(step) is not int or step != manifest["step"]:
            raise ValueError(f"step is {step!r}, that of the manifest {manifest.get('step')!r}")
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        where = f"{paths.relative(place)}/state.json"
        raise ValueError(f"{where} is damaged ({error}); delete the folder: an older checkpoint will do") from error
    return {"recipe": recipe, "evaluations": evaluations, "step": step, "seconds": seconds, "numerics": numerics}


def _step(place: Path) -> int | None:
    digits = place.name.removeprefix("step-")
    return int(digits) if digits.isdecimal() else None  # a copy that somebody made is none of ours


def _numerics(trainer: Trainer) -> str:
    return f"{trainer.machine.dtype} on {trainer.machine.device}"


def _drop(folder: Path, newest: Path) -> None:
    """Remove all but the last two, the best and `newest`."""
    every = found(folder)
    for place in {*every} - {*every[-KEPT:], best(folder), newest}:
        hidden = folder / f".{place.name}.old"
        os.replace(place, hidden)  # at once: half removed, it would look damaged
        shutil.rmtree(hidden)
    for hidden in folder.glob(".step-*.old"):
        shutil.rmtree(hidden)


def _names(trainer: Trainer, optimizer: torch.optim.Optimizer) -> list[str]:
    """Names of its parameters, in the order in which an optimizer numbers them."""
    names = {id(parameter): name for name, parameter in trainer.model.named_parameters()}
    return [names[id(p)] for group in optimizer.param_groups for p in group["params"]]


def _optimizer_state(trainer: Trainer) -> list[tuple[str, str, torch.Tensor]]:
    found = []
    for optimizer in trainer.optimizers:
        state, names = optimizer.state_dict()["state"], _names(trainer, optimizer)
        found += [(names[i], key, value) for i, values in state.items() for key, value in values.items()]
    return found


def _set_optimizer_state(trainer: Trainer, tensors: dict[str, torch.Tensor], step: int) -> None:
    """Raises ValueError: not the state that these optimizers have after `step` steps."""
    kept: dict[str, dict[str, torch.Tensor]] = {}
    for full, value in tensors.items():
        name, _, key = full.removeprefix("optimizer.").rpartition(".")
        kept.setdefault(name, {})[key] = value
    parameters = dict(trainer.model.named_parameters())
    for optimizer in trainer.optimizers:
        wanted = {"momentum_buffer"} if isinstance(optimizer, Muon) else {"step", "exp_avg", "exp_avg_sq"}
        for name in _names(trainer, optimizer) if step else ():
            if (have := set(kept.get(name, ()))) != wanted:
                raise ValueError(f"{name} has {', '.join(sorted(have)) or 'nothing'}, not {', '.join(sorted(wanted))}")
            for key, value in kept[name].items():
                shape = () if key == "step" else parameters[name].shape
                if value.shape != shape or value.dtype != torch.float32 or (key == "step" and value != step):
                    raise ValueError(
                        f"{key} of {name} is {tuple(value.shape)} {value.dtype}; it must be of step {step}"
                    )
    if unknown := kept.keys() - parameters.keys():
        raise ValueError(f"nothing of the model is called {min(unknown)}")
    for optimizer in trainer.optimizers:
        state = {i: kept[name] for i, name in enumerate(_names(trainer, optimizer)) if name in kept}
        # The groups' settings follow from the recipe, and the recipes are equal.
        optimizer.load_state_dict({**optimizer.state_dict(), "state": state})


def _short(value) -> str:
    """A hash by its beginning, anything else in full."""
    return value[:12] if isinstance(value, str) and len(value) == 64 else repr(value)
