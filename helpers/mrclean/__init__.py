"""Cleaning: raw books, Wikipedia pages and code -> one clean document per row, every drop with its reason.

    documents = mrclean.read_sources(profile.clean)
    result = mrclean.clean(documents)             # result.kept, result.dropped, result.account
    sides = mrclean.split(result, 0.1)            # {"train": [...], "val": [...]}
    mrclean.write_corpus(sides, profile.name)

A step is a pure function ``Document -> Keep(document) | Drop(reason)``; `STEPS` lists them per kind, `RULES` holds the
thresholds and where they come from, `REASONS` says what each reason means.
"""

from . import steps
from .corpus import split, straddling, write_corpus
from .dedup import containment, fingerprint, shingles
from .document import KINDS, Document, Drop, Keep, Step, excerpt
from .pipeline import (
    STEPS,
    Dropped,
    Edit,
    Result,
    check_account,
    clean,
    read_sources,
    size,
)
from .readers import read_books, read_code, read_wiki
from .rules import REASONS, RULES
from .steps import decode_bytes
from .wikitext import plain_text

__all__ = [
    "KINDS",
    "REASONS",
    "RULES",
    "STEPS",
    "Document",
    "Drop",
    "Dropped",
    "Edit",
    "Keep",
    "Result",
    "Step",
    "check_account",
    "clean",
    "containment",
    "decode_bytes",
    "excerpt",
    "fingerprint",
    "plain_text",
    "read_books",
    "read_code",
    "read_sources",
    "read_wiki",
    "shingles",
    "size",
    "split",
    "steps",
    "straddling",
    "write_corpus",
]
