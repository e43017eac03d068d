"""A pretrained encoder: named by the profile or by ENCODER, found without a network where that is asked for, loaded."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import numpy as np
import torch

from labjournal.markdown import spelled_out

from . import profile, sources
from .hardware import Hardware, autocast, seed_everything
from .paths import sha256_file
from .quiet import transformers

HUB_FILES = ("*.json", "*.txt", "model.safetensors")  # weights as safetensors only: nothing here can run code

NUMBERS = {"F64": "float64", "F32": "float32", "F16": "float16", "BF16": "bfloat16"}  # as safetensors name them

TOKENIZERS = ("tokenizer.json", "vocab.txt", "vocab.json", "spiece.model", "sentencepiece.bpe.model")


class EncoderError(RuntimeError):
    """The encoder cannot be had; the message says which, why, and what to do."""


def chosen(settings: profile.Finetune) -> str:
    """ENCODER from the environment, else what the profile names: a pinned source, a folder, or a name on the hub."""
    return os.environ.get("ENCODER") or settings.encoder


def find(name: str) -> Path:
    """The local folder of encoder `name`; on gpu a hub name is downloaded into the hub's cache, else only looked up.

    Raises:
        EncoderError: it cannot be had.
        SourceError: it is a pinned source that cannot be had.
    """
    if name in sources.SOURCES:
        return sources.fetch(name)
    if os.path.isdir(os.path.expanduser(name)):  # also False for a name that no file could have
        return _checked(Path(name).expanduser(), name)
    if name.count("/") != 1 or name.startswith((".", "/", "~")):
        raise EncoderError(f"ENCODER={name}: no such folder, and not a hub name (owner/name); {_remedy()}")
    from huggingface_hub import snapshot_download
    from huggingface_hub.constants import HF_HUB_OFFLINE

    offline = HF_HUB_OFFLINE or profile.load().name != "gpu"  # smoke and laptop never contact a hub
    try:
        folder = snapshot_download(name, allow_patterns=list(HUB_FILES), local_files_only=offline)
    except Exception as error:  # not in the cache, no network, no such model, access refused, disk full
        why = "is not in the hub's cache and this run does not contact the hub" if offline else str(error)[:300]
        raise EncoderError(f"encoder {name}: {why}; {_remedy(name)}") from error
    return _checked(Path(folder), name)


def _checked(folder: Path, name: str) -> Path:
    missing = [file for file in ("config.json", "model.safetensors") if not (folder / file).is_file()]
    if missing:
        old = " (pytorch_model.bin is not read: it can run code)" if (folder / "pytorch_model.bin").is_file() else ""
        raise EncoderError(f"encoder {name}: its folder has no {' and no '.join(missing)}{old}; {_remedy()}")
    if not any((folder / file).is_file() for file in TOKENIZERS):
        raise EncoderError(f"encoder {name}: its folder has no tokenizer ({' or '.join(TOKENIZERS)}); {_remedy()}")
    return folder


def _remedy(name: str = "FacebookAI/roberta-base") -> str:
    return (
        "to go on, either use the pinned encoder (ENCODER=minilm), or on a machine with network run  "
        f"hf download {name} --local-dir FOLDER  and set ENCODER=FOLDER, or run with PROFILE=gpu and network"
    )


def load_classifier(folder: Path, dropout: float, hardware: Hardware, seed: int, trained: bool = False):
    """(tokenizer, classifier with a two-class head in float32), the head fresh: same seed, same head.

    Args:
        dropout: set on every dropout layer of the model, whatever its config says.
        trained: the folder holds a classifier, its head included, and nothing may be missing or left over.
    Raises:
        EncoderError: the folder does not hold an encoder that transformers can load, or its weights do not fit.
    """
    seed_everything(seed)
    # On a CPU the fused attention of PyTorch 2.13 is slow backwards on short texts: a step took half as long again.
    attention = "eager" if hardware.device == "cpu" else "sdpa"
    try:
        config = transformers.AutoConfig.from_pretrained(folder, local_files_only=True)
        if attention == "sdpa" and config.model_type == "mpnet":  # transformers has none for it
            print(
                f"{config.model_type} has no fused attention; its plain one is used, which takes more memory",
                file=sys.stderr,
            )
            attention = "eager"
        tokenizer = transformers.AutoTokenizer.from_pretrained(folder, local_files_only=True)
        model, loaded = transformers.AutoModelForSequenceClassification.from_pretrained(
            folder,
            output_loading_info=True,
            num_labels=2,
            local_files_only=True,
            use_safetensors=True,
            dtype=torch.float32,
            attn_implementation=attention,
        )
        _check(model, tokenizer, loaded, trained)
        _check_types(Path(folder) / "model.safetensors", config.dtype)
    except Exception as error:  # damaged files come to light in many ways, in three libraries
        told = f"config.json asks for {error}, which there is not" if isinstance(error, KeyError) else str(error)
        raise EncoderError(spelled_out(f"encoder in {Path(folder).name}: {told[:300]}; {_remedy()}")) from error
    for layer in model.modules():
        if isinstance(layer, torch.nn.Dropout):
            layer.p = dropout
    return tokenizer, model.to(hardware.device)


def _check(model, tokenizer, loaded: dict, trained: bool) -> None:
    """Raises ValueError: weights that are not there, or no numbers, or a tokenizer that is not the model's."""
    body = f"{model.base_model_prefix}."  # what is not of the body is the fresh head; a pooler belongs to it
    missing = [name for name in loaded["missing_keys"]
               if trained or (name.startswith(body) and ".pooler." not in name)]  # fmt: skip
    if missing:
        raise ValueError(
            f"its weights lack {len(missing)} tensors that config.json speaks of, such as {sorted(missing)[0]}"
        )
    # A body that was pretrained may bring another head; a layer that config.json does not know is no head.
    more = [name for name in loaded["unexpected_keys"]
            if not name.endswith("position_ids") and (trained or ".layer." in name)]  # fmt: skip
    if more:
        raise ValueError(f"its weights hold {len(more)} tensors that config.json does not speak of: {sorted(more)[0]}")
    if broken := [name for name, p in model.named_parameters() if not p.isfinite().all()]:
        raise ValueError(f"{broken[0]} holds values that are no numbers")
    words, rows = len(tokenizer), model.get_input_embeddings().num_embeddings
    if not rows / 2 < words <= rows or max(tokenizer.get_vocab().values()) >= rows:
        raise ValueError(f"the tokenizer knows {words:,} tokens and the model {rows:,}, or one's id is beyond them")
    if tokenizer.pad_token_id is None:
        raise ValueError("the tokenizer has no token to fill up with (pad_token)")


def _check_types(weights: Path, dtype) -> None:
    """Raises ValueError: tensors of another number type than config.json says, or of whole numbers."""
    from safetensors import safe_open

    said = str(dtype).rpartition(".")[2] if dtype else None
    with safe_open(weights, "pt") as file:
        for name in file.keys():  # noqa: SIM118
            found = NUMBERS.get(kind := file.get_slice(name).get_dtype(), kind)
            if not name.endswith("position_ids") and (kind not in NUMBERS or found != (said or found)):
                raise ValueError(f"{name} is stored as {found}, and config.json says {said or 'nothing of that'}")


def mean_pooled(output, mask: torch.Tensor) -> torch.Tensor:
    """(batch, width) in float32: the mean of a body's last vectors over the tokens that are no padding."""
    mask = mask[..., None]
    return (output.last_hidden_state.float() * mask).sum(1) / mask.sum(1)


@torch.no_grad()
def vectors(body, tokenizer, texts, hardware: Hardware, read=mean_pooled, max_length: int = 128) -> np.ndarray:
    """`read` of an encoder's body for each text, (texts, …), in their order; a batch holds texts of like length.

    Args:
        read: of the body's output and the attention mask (batch, tokens) what is wanted, (batch, …).
    """
    order, rows = np.argsort([len(text) for text in texts]), {}
    for part in np.array_split(order, -(-len(texts) // 32)):
        batch = tokenizer([texts[i] for i in part], truncation=True, max_length=max_length, padding=True,
                          return_tensors="pt").to(hardware.device)  # fmt: skip
        with autocast(hardware):
            output = body(**batch)
        rows |= dict(zip(part.tolist(), read(output, batch["attention_mask"]).float().cpu().numpy(), strict=True))
    return np.stack([rows[i] for i in range(len(texts))])


def weights_hash(folder: Path) -> str:
    """First 16 digits of the sha256 of the encoder's weights."""
    return sha256_file(Path(folder) / "model.safetensors")[:16]
