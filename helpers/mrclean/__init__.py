"""Cleaning: raw books, Wikipedia pages, code and reviews -> one clean document per row, every drop with its reason.

    documents = mrclean.read_sources(profile.clean)
    result = mrclean.clean(documents, mrclean.evaluation_texts())   # result.kept, result.dropped, result.account
    sides = mrclean.split(result, 0.1)                               # {"train": [...], "val": [...]}
    mrclean.write_corpus(sides, profile.name)

A step is a pure function ``Document -> Keep(document) | Drop(reason)``; `STEPS` lists them per kind, `RULES` and
`RULE_SETS` hold the thresholds and where they come from, `REASONS` says what each reason means.
"""

from . import books, code, dedup, private, scores, steps
from .account import Line, check_account, size
from .contamination import EvaluationTexts
from .corpus import read_corpus, split, straddling, write_corpus
from .dedup import containment, fingerprint, jaccard, shingles
from .document import KINDS, Document, Drop, Keep, Step
from .pipeline import STEPS, Dropped, Edit, Result, clean, evaluation_texts, read_sources
from .private import excerpt, redact
from .readers import read_books, read_code, read_reviews, read_wiki
from .rules import CUTS, REASONS, RULE_SETS, RULES
from .steps import decode_bytes
from .wikitext import plain_text

__all__ = [
    "CUTS",
    "KINDS",
    "REASONS",
    "RULES",
    "RULE_SETS",
    "STEPS",
    "Document",
    "Drop",
    "Dropped",
    "Edit",
    "EvaluationTexts",
    "Keep",
    "Line",
    "Result",
    "Step",
    "books",
    "check_account",
    "clean",
    "code",
    "containment",
    "decode_bytes",
    "dedup",
    "evaluation_texts",
    "excerpt",
    "fingerprint",
    "jaccard",
    "plain_text",
    "private",
    "read_books",
    "read_code",
    "read_corpus",
    "read_reviews",
    "read_sources",
    "read_wiki",
    "redact",
    "scores",
    "shingles",
    "size",
    "split",
    "steps",
    "straddling",
    "write_corpus",
]
