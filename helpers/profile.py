"""All sizes in one place. ``PROFILE=smoke|laptop|long|gpu`` or ``--profile`` chooses; laptop is the default.

A profile chooses data and models, never the network: smoke and laptop never contact a hub.

    smoke    tests: every notebook under 40 s on 2 cores
    laptop   real results offline on 2 cores and 8 GB
    long     the same with a larger GPT, for those who have a quarter of an hour more
    gpu      the sizes the course was asked for, on one 24 GB card
"""

from __future__ import annotations

import os
from dataclasses import asdict, dataclass


@dataclass(frozen=True)
class First:
    """00: the small model that writes before anything is explained, and how it is trained."""

    n_layer: int = 4
    n_head: int = 2
    n_embd: int = 128
    block_size: int = 64
    batch_size: int = 24
    max_iters: int = 1024
    eval_interval: int = 1024  # of the recipe; the notebook tests at steps of its own
    eval_batches: int = 32


@dataclass(frozen=True)
class Clean:
    """01: which raw material is read. Whole works and whole packages, because duplicates are neighbours."""

    books: tuple[str, ...] = ()  # beginnings of file names; () means all
    wiki_pages: int = 0  # of each dump, from its start; 0 means all
    code: tuple[str, ...] = (  # packages of sympy; () means all
        "calculus",
        "concrete",
        "geometry",
        "logic",
        "matrices",
        "ntheory",
        "parsing",
        "series",
        "sets",
    )
    reviews: int = 0  # product reviews, from the first; 0 means all
    val_fraction: float = 0.1  # of each kind's bytes


@dataclass(frozen=True)
class Tokenize:
    """02: the tokenizer the course trains, and the vocabularies it is compared with."""

    vocab_size: int = 2048  # ids, special tokens included; chosen by `make bench ARGS=vocabulary`
    vocabularies: tuple[int, ...] = (256, 512, 1024, 2048, 4096, 8192, 16384)  # tokens, without specials
    awkward_length: int = 4  # every string of awkward characters up to this length is held against GPT-4's tokenizer
    unicode_every: int = 4  # and every so many-th character of Unicode


@dataclass(frozen=True)
class Gpt:
    """03: model, optimisation and evaluation."""

    n_layer: int = 2
    n_head: int = 4
    n_embd: int = 160
    block_size: int = 128
    batch_size: int = 8
    max_iters: int = 2500
    eval_interval: int = 250
    eval_batches: int = 32  # of the validation shard, at each evaluation on the way
    learning_rate: float = 2e-3
    dropout: float = 0.0


@dataclass(frozen=True)
class Curve:
    """04: learning curve of the baseline."""

    sizes: tuple[int, ...] = (200, 400, 800, 1600, 3200, 6400)
    repeats: int = 10
    regularisation: tuple[float, ...] = (0.1, 1.0, 10.0, 100.0)  # values of C to try, scikit-learn's default among them


@dataclass(frozen=True)
class Finetune:
    """05: the encoder and how it is fine-tuned."""

    encoder: str = "minilm"  # a pinned source, a folder, or a name on the model hub
    epochs: int = 2
    evals_per_epoch: int = 4
    learning_rate: float = 1e-4
    batch_size: int = 32
    max_length: int = 128
    dropout: float = 0.0
    train_items: int = 0  # 0 means all
    eval_items: int = 0  # of the validation items and of the test items; 0 means all


@dataclass(frozen=True)
class Choose:
    """06: what the candidates learn from and answer."""

    texts: int = 0  # of each part; 0 means all
    calls: int = 200  # with one text alone, to time them


@dataclass(frozen=True)
class Price:
    """18: the bottles, and how the encoder is fine-tuned on them."""

    bottles: int = 0  # 0 means all
    learning_rate: float = 1e-4
    batch_size: int = 32


@dataclass(frozen=True)
class Media:
    """09: what is learned from, and for how long."""

    seeds: int = 3  # of everything that is learned
    patches: int = 20_000  # of the photographs, for one codebook
    photo_codes: tuple[tuple[int, int, int], ...] = (  # side of a patch, codes, codebooks
        (4, 256, 1),
        (4, 1024, 1),
        (4, 256, 4),
        (8, 1024, 1),
    )
    digit_steps: int = 1500  # of each trained tokenizer
    sound_codes: tuple[tuple[int, int], ...] = ((4, 1024), (8, 256))  # samples in a vector, codes
    frame_codes: int = 256
    frame_depth: int = 8  # codebooks
    frame_starts: int = 4  # places from which the same sound is cut into frames
    draw_steps: int = 300
    drawn: int = 1000  # digits


@dataclass(frozen=True)
class Race:
    """12: the text of the races, and the steps of the short one; the long ones run under `make bench`."""

    books: tuple[str, ...] = (
        "antony_and_cleopatra",
        "hamlet",
        "julius_caesar",
        "lear",
        "macbeth",
        "othello",
        "romeo_and_juliet",
    )
    plain_steps: int = 1000  # of 12 windows
    fast_steps: int = 92  # of 24 windows


@dataclass(frozen=True)
class Profile:
    name: str
    first: First = First()
    clean: Clean = Clean()
    tokenize: Tokenize = Tokenize()
    gpt: Gpt = Gpt()
    curve: Curve = Curve()
    finetune: Finetune = Finetune()
    choose: Choose = Choose()
    media: Media = Media()
    race: Race = Race()
    price: Price = Price()

    def as_dict(self) -> dict:
        return asdict(self)


PROFILES = {
    "smoke": Profile(
        name="smoke",
        first=First(n_layer=2, n_embd=64, batch_size=8, max_iters=64, eval_interval=64, eval_batches=8),
        clean=Clean(
            books=("allegro", "comus", "hamlet", "lallegro", "loves", "macbeth", "metadata", "paradise", "passionate"),
            wiki_pages=80,
            code=("calculus", "parsing"),
            reviews=120,
        ),
        tokenize=Tokenize(vocab_size=512, vocabularies=(256, 512, 1024), awkward_length=3, unicode_every=16),
        gpt=Gpt(
            n_layer=2,
            n_head=2,
            n_embd=64,
            block_size=64,
            batch_size=8,
            max_iters=60,
            eval_interval=20,
            eval_batches=8,
            learning_rate=3e-3,
        ),
        curve=Curve(sizes=(100, 200, 400, 800, 1600), repeats=4),
        finetune=Finetune(epochs=2, train_items=128, eval_items=64),
        choose=Choose(texts=300, calls=5),
        media=Media(
            seeds=2,
            patches=3000,
            photo_codes=((4, 32, 1), (4, 64, 1), (4, 32, 4), (8, 64, 1)),
            digit_steps=300,
            sound_codes=((4, 64), (8, 32)),
            frame_codes=32,
            frame_depth=4,
            frame_starts=2,
            draw_steps=60,
            drawn=200,
        ),
        price=Price(bottles=800),
        race=Race(books=("hamlet", "macbeth"), plain_steps=60, fast_steps=20),
    ),
    "laptop": Profile(name="laptop"),
    "long": Profile(
        name="long", gpt=Gpt(n_layer=4, n_embd=256, block_size=256, max_iters=2000, eval_interval=200, eval_batches=16)
    ),
    "gpu": Profile(
        name="gpu",
        clean=Clean(code=()),
        tokenize=Tokenize(vocab_size=4096),  # not measured: a larger model gains from more
        gpt=Gpt(
            n_layer=6,
            n_head=6,
            n_embd=384,
            block_size=256,
            batch_size=64,
            max_iters=5000,
            eval_interval=500,
            eval_batches=200,
            learning_rate=3e-4,
            dropout=0.2,
        ),
        finetune=Finetune(encoder="FacebookAI/roberta-base", epochs=3, learning_rate=2e-5, dropout=0.1),
        media=Media(patches=60_000, digit_steps=5000, frame_starts=8, drawn=5000),
    ),
}


def load(name: str | None = None) -> Profile:
    """The chosen profile: `name`, else the PROFILE environment variable, else laptop.

    Raises:
        ValueError: for an unknown name, with the allowed ones.
    """
    name = name or os.environ.get("PROFILE") or "laptop"
    try:
        return PROFILES[name]
    except KeyError:
        raise ValueError(f"unknown profile {name!r}; choose one of {', '.join(PROFILES)}") from None
