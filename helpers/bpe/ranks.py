"""Published vocabularies: rank files, and the tokenizers of GPT-4 and GPT-4o rebuilt from them, without a network.

A rank file has one line per token, ``base64(bytes) id``. The id is also the rank: the smaller, the earlier it was
learned. The pattern and the special tokens are not in it; they stand in tiktoken's source.
"""

from __future__ import annotations

import base64
import binascii
import gzip
import hashlib
import os
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from .. import paths, sources
from .patterns import CL100K, O200K
from .tokenizer import Tokenizer


@dataclass(frozen=True)
class Published:
    encoding: str  # tiktoken's name
    sha256: str  # of the rank file, as tiktoken pins it
    pattern: str
    specials: dict[str, int]  # some ids between them belong to no token


MODELS = {
    "gpt-4": Published(
        encoding="cl100k_base",
        sha256="223921b76ee99bde995b7ff738513eef100fb51d18c93597a113bcffe865b2a7",
        pattern=CL100K,
        specials={
            "<|endoftext|>": 100257,
            "<|fim_prefix|>": 100258,
            "<|fim_middle|>": 100259,
            "<|fim_suffix|>": 100260,
            "<|endofprompt|>": 100276,
        },
    ),
    "gpt-4o": Published(
        encoding="o200k_base",
        sha256="446a9538cb6c348e3516120d7c08b09f57c36495e2acfffe59a5bf8b0cfb1a2d",
        pattern=O200K,
        specials={"<|endoftext|>": 199999, "<|endofprompt|>": 200018},
    ),
}
# Never opened: tiktoken names the files of its cache by their address.
URL = "https://openaipublic.blob.core.windows.net/encodings/{}.tiktoken"


@cache
def published(model: str) -> Tokenizer:
    """The tokenizer of "gpt-4" or "gpt-4o", rebuilt from its ranks; takes a few seconds, once.

    Raises:
        ValueError: an unknown model, or a rank file that is not the one tiktoken pins.
        SourceError: the pinned source cannot be had.
    """
    known = _published(model)
    return Tokenizer.from_vocab(parse(rank_file(model), known.encoding), known.pattern, known.specials)


def rank_file(model: str) -> bytes:
    """The rank file of a published model, out of the pinned source and checked against tiktoken's own hash."""
    known = _published(model)
    data = gzip.decompress((sources.fetch("bpe-openai") / f"{known.encoding}.tiktoken.gz").read_bytes())
    if (got := paths.sha256(data)) != known.sha256:
        raise ValueError(
            f"{known.encoding}.tiktoken has sha256 {got}, tiktoken expects {known.sha256}; delete bpe-openai-… in "
            "artifacts/sources, so that it is fetched again"
        )
    return data


def tiktoken_offline() -> Path:
    """Put the published rank files where tiktoken looks before it downloads them; returns that folder.

    After it, ``tiktoken.get_encoding("cl100k_base")`` works without a network in this process. tiktoken checks the
    hash of what it finds.
    """
    folder = paths.artifacts("tiktoken")
    for model, known in MODELS.items():
        path = folder / hashlib.sha1(URL.format(known.encoding).encode()).hexdigest()
        if not path.is_file() or paths.sha256_file(path) != known.sha256:
            paths.write_atomic(path, rank_file(model))
    os.environ["TIKTOKEN_CACHE_DIR"] = str(folder)
    return folder


def parse(data: bytes, name: str) -> list[bytes]:
    """The tokens of a rank file in the order of their ids.

    Raises:
        ValueError: names the file and the line: not base64 and a number, or an id that is out of order, so that one is
            missing or comes twice.
    """
    tokens: list[bytes] = []
    for number, line in enumerate(data.splitlines(), 1):
        try:
            encoded, rank = line.split()
            token, rank = base64.b64decode(encoded, validate=True), int(rank)
        except (ValueError, binascii.Error) as error:
            raise ValueError(f"{name}, line {number} is not 'base64 id': {line[:60]!r} ({error})") from error
        if rank != len(tokens):
            raise ValueError(f"{name}, line {number}: expected a token with id {len(tokens)}, found id {rank}")
        tokens.append(token)
    return tokens


def render(vocab: list[bytes]) -> bytes:
    """What `parse` reads."""
    return b"".join(base64.b64encode(token) + b" %d\n" % i for i, token in enumerate(vocab))


def _published(model: str) -> Published:
    try:
        return MODELS[model]
    except KeyError:
        raise ValueError(f"no published tokenizer of {model!r} is known; there are {', '.join(MODELS)}") from None
