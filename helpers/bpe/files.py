"""A tokenizer on disk, for this project and for others. Plain text and JSON: nothing in it can run.

    tokenizer.tiktoken       the tokens in the order of their ids; tiktoken's format
    tokenizer.json           the same for Hugging Face tokenizers and transformers, with tokenizer_config.json
    tokenizer_manifest.json  pattern, special tokens, and the hash of every file

`load_tokenizer` reads the first and checks the others against the last.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from .. import paths
from . import ranks
from .tokenizer import SPECIALS, Tokenizer

if TYPE_CHECKING:
    import tokenizers
    import transformers

MANIFEST = "tokenizer_manifest.json"
FILES = ("tokenizer.tiktoken", "tokenizer.json", "tokenizer_config.json")
# GPT-2's order of the bytes, which Hugging Face and OpenAI kept: first those that can be printed, then the others.
PRINTABLE = bytes([*range(33, 127), *range(161, 173), *range(174, 256)])
GPT2_ALPHABET = PRINTABLE + bytes(sorted(set(range(256)) - set(PRINTABLE)))


def to_tokenizers(tokenizer: Tokenizer) -> tokenizers.Tokenizer:
    """The same tokenizer in Hugging Face tokenizers (Apache-2.0): same ids, also after save and load.

    Special tokens are entries of the vocabulary that no merge leads to, not "added tokens". Added tokens are looked for
    in the text, and the switch against it is lost when the file is saved. `encode` adds them by id, as
    `Tokenizer.encode_document` does.

    Raises:
        ValueError: an ordinary token is spelled like a special one; there, one entry cannot be both.
    """
    from tokenizers import Regex, decoders, models, pre_tokenizers, processors
    from tokenizers import Tokenizer as HuggingFace

    # It writes bytes as characters: a printable byte as itself, the others as the characters from U+0100 on.
    letter = {b: chr(b if i < len(PRINTABLE) else 256 + i - len(PRINTABLE)) for i, b in enumerate(GPT2_ALPHABET)}
    names = ["".join([letter[byte] for byte in token]) for token in tokenizer.vocab]
    if both := set(names) & set(tokenizer.specials):
        raise ValueError(f"{', '.join(sorted(both))} is a special token and an ordinary one; learn from other text")
    vocab = {name: i for i, name in enumerate(names)} | tokenizer.specials
    merges = [(names[a], names[b]) for a, b in tokenizer.merges]
    made = HuggingFace(models.BPE(vocab=vocab, merges=merges))
    made.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(tokenizer.pattern), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    made.decoder = decoders.ByteLevel()
    if tokenizer.bos is not None and tokenizer.eos is not None:
        bos, eos = SPECIALS
        special = [(bos, tokenizer.bos), (eos, tokenizer.eos)]
        made.post_processor = processors.TemplateProcessing(single=f"{bos} $A {eos}", special_tokens=special)
    return made


def to_transformers(tokenizer: Tokenizer) -> transformers.PreTrainedTokenizerFast:
    """The same tokenizer in transformers, where models and trainers expect it.

    Do not save it again with `save_pretrained` for another library: that writes bos and eos as added tokens, and what
    reads the file without transformers then finds them in ordinary text. `save_tokenizer` writes one that is safe.

    transformers makes added tokens of bos and eos. `split_special_tokens` keeps text from turning into them, and unlike
    the switch below it, it is saved with the tokenizer.
    """
    from ..quiet import transformers

    return transformers.PreTrainedTokenizerFast(tokenizer_object=to_tokenizers(tokenizer), **_config(tokenizer))


def save_tokenizer(tokenizer: Tokenizer, folder: Path) -> dict:
    """Write the files into `folder`, the manifest last; returns the manifest."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / MANIFEST).unlink(missing_ok=True)
    paths.write_atomic(folder / "tokenizer.tiktoken", ranks.render(tokenizer.vocab))
    paths.write_atomic(folder / "tokenizer.json", to_tokenizers(tokenizer).to_str(pretty=True) + "\n")
    config = {"tokenizer_class": "PreTrainedTokenizerFast", **_config(tokenizer)}
    paths.write_json(folder / "tokenizer_config.json", config)
    manifest = {
        "pattern": tokenizer.pattern,
        "specials": tokenizer.specials,
        "vocab_size": tokenizer.vocab_size,
        "hash": tokenizer.hash,
        "files": {name: paths.sha256_file(folder / name) for name in FILES},
    }
    paths.write_json(folder / MANIFEST, manifest)
    return manifest


def load_tokenizer(folder: Path) -> Tokenizer:
    """Read a tokenizer back.

    Raises:
        MissingArtifact: there is none, or it was never finished.
        ValueError: a file is damaged, or is not the one that was saved; names it.
    """
    path = Path(folder) / MANIFEST
    if not path.is_file():
        raise paths.MissingArtifact(f"{paths.relative(path)} is not there; run notebooks/02_tokenizer.ipynb first")
    manifest = paths.read_json(path)
    try:
        for name in FILES:
            file = path.with_name(name)
            if not file.is_file() or paths.sha256_file(file) != manifest["files"][name]:
                raise ValueError(f"{name} is missing or was changed since it was saved")
        vocab = ranks.parse(path.with_name("tokenizer.tiktoken").read_bytes(), "tokenizer.tiktoken")
        tokenizer = Tokenizer.from_vocab(vocab, manifest["pattern"], manifest["specials"])
        if (tokenizer.hash, tokenizer.vocab_size) != (manifest["hash"], manifest["vocab_size"]):
            raise ValueError("pattern, specials or vocab_size are not those that were saved")
    except (AttributeError, KeyError, OSError, TypeError, ValueError) as error:
        what = f"{error} is not in it" if isinstance(error, KeyError) else error
        raise ValueError(f"{paths.relative(path)} is damaged: {what}; run notebook 02 again") from error
    return tokenizer


def _config(tokenizer: Tokenizer) -> dict:
    names = {"bos_token": tokenizer.bos, "eos_token": tokenizer.eos}
    tokens = {key: name for (key, i), name in zip(names.items(), SPECIALS, strict=True) if i is not None}
    return {**tokens, "split_special_tokens": True, "clean_up_tokenization_spaces": False}
