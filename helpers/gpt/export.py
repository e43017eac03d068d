"""The same model for the transformers library: weights renamed for its GPT-2, logits unchanged."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import torch

from .. import bpe
from .model import GPT

if TYPE_CHECKING:
    import transformers

# Ours → GPT-2's. Its projections keep their matrix the other way round, and have biases: ours are zero.
NAMES = {
    "norm1.weight": "ln_1.weight",
    "attention.qkv.weight": "attn.c_attn.weight",
    "attention.out.weight": "attn.c_proj.weight",
    "norm2.weight": "ln_2.weight",
    "mlp.up.weight": "mlp.c_fc.weight",
    "mlp.down.weight": "mlp.c_proj.weight",
}


def to_transformers(model: GPT, bos: int | None = None, eos: int | None = None) -> transformers.GPT2LMHeadModel:
    """A GPT-2 of the transformers library with our weights: equal logits, up to rounding.

    Args:
        bos, eos: ids that begin and end a document, for its ``generate``.

    Raises:
        ValueError: a `fast.FastGPT`; GPT-2 has no place for its tables of earlier tokens.
    """
    if not isinstance(model, GPT):
        raise ValueError(
            f"a {type(model).__name__} cannot be exported: the transformers library has no class for tables of earlier "
            "tokens; train with --recipe classic for a model that it can load"
        )
    from ..quiet import transformers

    c = model.config
    config = transformers.GPT2Config(
        vocab_size=c.vocab_size,
        n_positions=c.block_size,
        n_embd=c.n_embd,
        n_layer=c.n_layer,
        n_head=c.n_head,
        activation_function="gelu",  # the exact one; GPT-2's own is an approximation
        resid_pdrop=c.dropout,
        embd_pdrop=c.dropout,
        attn_pdrop=0.0,
        bos_token_id=bos,
        eos_token_id=eos,
    )
    other = transformers.GPT2LMHeadModel(config)
    state = {name: torch.zeros_like(value) for name, value in other.state_dict().items() if name.endswith(".bias")}
    ours = model.state_dict()
    state["transformer.wte.weight"] = state["lm_head.weight"] = ours.pop("tokens.weight")
    state["transformer.wpe.weight"] = ours.pop("positions.weight")
    state["transformer.ln_f.weight"] = ours.pop("norm.weight")
    for name, value in ours.items():
        _, layer, part = name.split(".", 2)  # "blocks.0.mlp.up.weight"
        state[f"transformer.h.{layer}.{NAMES[part]}"] = value.T if value.ndim == 2 else value
    other.load_state_dict(state)
    return other.eval()


def save_for_transformers(model: GPT, tokenizer: bpe.Tokenizer, folder: Path) -> None:
    """Write model and tokenizer into `folder` for ``AutoModelForCausalLM`` and ``AutoTokenizer``.

    Raises:
        ValueError: the tokenizer has ids that the model does not know; a model that `to_transformers` refuses.
    """
    if tokenizer.vocab_size > model.config.vocab_size:
        raise ValueError(
            f"the tokenizer has {tokenizer.vocab_size} ids, the model knows {model.config.vocab_size}; they do not "
            "belong together"
        )
    to_transformers(model, tokenizer.bos, tokenizer.eos).save_pretrained(folder)
    bpe.save_tokenizer(tokenizer, Path(folder))
