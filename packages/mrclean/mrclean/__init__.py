"""Cleaning: raw books, Wikipedia pages, code and reviews -> one clean document per row, every drop with its reason.

    documents = [mrclean.Document("a", "text", "mine", "A title", raw=raw, bytes_in=len(raw)), …]
    result = mrclean.clean(documents)            # result.kept, result.dropped, result.account
    sides = mrclean.split_corpus(result, 0.1)           # {"train": [...], "val": [...]}
    mrclean.write_corpus(sides, Path("corpus"))  # train.parquet, val.parquet

A step is a pure function ``Document -> Keep(document) | Drop(reason)``; `KINDS` lists them per kind of text with their
limits, `RULE_SETS` are the published filters, `REASONS` says what each reason means. ``python -m mrclean`` cleans a
folder.
"""

from . import books, dedup, pipeline, planted, scores, steps
from .account import check_account, size
from .contamination import EvaluationTexts
from .corpus import read_corpus, split_corpus, straddling, write_corpus
from .decoding import decode_bytes
from .dedup import jaccard, shingles
from .document import Document, Drop, Keep
from .dump import wiki_pages
from .pipeline import STEPS, clean
from .private import excerpt, redact
from .rules import KINDS, REASONS, RULE_SETS, RULES
from .wikitext import plain_text

__all__ = [
    "KINDS", "REASONS", "RULES", "RULE_SETS", "STEPS", "Document", "Drop", "EvaluationTexts", "Keep", "books",
    "check_account", "clean", "decode_bytes", "dedup", "excerpt", "jaccard", "pipeline", "plain_text", "planted",
    "read_corpus", "redact", "scores", "shingles", "size", "split_corpus", "steps", "straddling", "wiki_pages",
    "write_corpus",
]  # fmt: skip
