"""A model in a folder: ``model.safetensors`` and ``config.json``."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import torch

from ..paths import read_json, relative, write_atomic, write_json
from .fast import FastConfig, FastGPT
from .model import GPT, GPTConfig


def make(config: GPTConfig) -> GPT | FastGPT:
    """A new model of the kind that `config` is for."""
    return FastGPT(config) if isinstance(config, FastConfig) else GPT(config)


def save(model: GPT | FastGPT, folder: Path) -> None:
    """Write weights and configuration into `folder`, each whole or not at all."""
    from safetensors.torch import save as to_bytes

    weights = {name: value.detach().cpu().contiguous() for name, value in _state(model).items()}
    write_atomic(folder / "model.safetensors", to_bytes(weights))
    write_json(folder / "config.json", asdict(model.config))


def config(folder: Path) -> GPTConfig:
    """The configuration that `save` wrote, a `FastConfig` if it was one.

    Raises:
        ValueError: it has fields that this code does not know, lacks some, or has sizes that cannot be.
    """
    fields = read_json(folder / "config.json")
    if not isinstance(fields, dict):
        raise ValueError(f"{relative(folder)}/config.json is no configuration but {type(fields).__name__}")
    kind = FastConfig if "rope" in fields else GPTConfig
    try:
        return kind(**fields)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{relative(folder)}/config.json does not fit this version of the model: {error}") from error


def load(folder: Path) -> GPT | FastGPT:
    """Read what `save` wrote. All is compared before a model takes memory.

    Raises:
        ValueError: the weights do not fit the configuration in name, shape or number type, or are not finite; names
            the folder and the difference.
    """
    known, weights = config(folder), tensors(folder / "model.safetensors")
    try:
        for name in ("n_layer", "previous"):  # each has a tensor of its own
            if (count := getattr(known, name, 0)) > len(weights):
                raise RuntimeError(f"{name} is {count:,}, and there are {len(weights)} tensors in all")
        with torch.device("meta"):  # a model without memory
            wanted = _state(make(known))
        missing, unknown = sorted(wanted.keys() - weights), sorted(weights.keys() - wanted)
        if missing or unknown:
            raise RuntimeError(f"missing {', '.join(missing) or 'nothing'}; unknown {', '.join(unknown) or 'nothing'}")
        for name, value in weights.items():
            if value.shape != (shape := wanted[name].shape):
                raise RuntimeError(f"{name} is {tuple(value.shape)}, not {tuple(shape)}")
            if value.dtype != wanted[name].dtype:
                raise RuntimeError(f"{name} is {value.dtype}, not {wanted[name].dtype}")
            if not value.isfinite().all():
                raise RuntimeError(f"{name} holds {(~value.isfinite()).sum():,} values that are no numbers")
        model = make(known)
        model.load_state_dict(weights, strict=False)  # a tied head is not in the file
    except RuntimeError as error:
        raise ValueError(f"{relative(folder)}: model.safetensors does not fit config.json: {error}") from error
    return model


def tensors(path: Path) -> dict:
    """What a safetensors file holds, by name. Raises ValueError: it is none, or half of one."""
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return load_file(path)
    except SafetensorError as error:
        raise ValueError(f"{relative(path)} is damaged: {error}") from error


def _state(model: GPT | FastGPT) -> dict:
    """The weights by name, each once: those of a tied head are the embedding's."""
    state = model.state_dict()
    if isinstance(model, FastGPT) and not model.config.untied:
        del state["head.weight"]
    return state
