"""Every threshold and every reason, as data with its source. `changed` sets other numbers for a while.

`KINDS` has the steps and limits of each kind of text, `RULES` every limit by its name. `RULE_SETS` are the published
filters of the web pipelines: every document is *scored* by all of them (scores.py), and a kind is *cut* by some.
"""

from __future__ import annotations

import contextlib
import difflib
import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from math import inf


@dataclass(frozen=True)
class Rule:
    value: float
    unit: str
    why: str  # where the number comes from
    least: float = 0  # no user's number may be below


_OF_ANY_KIND = {
    "undecodable_share": Rule(
        0.001, "of characters", "own rule: U+FFFD and surrogates in decoded text, broken bytes in UTF-8"
    ),
    "control_share": Rule(0.02, "of characters", "own rule: control characters that mean nothing to a terminal"),
    "codec_sure": Rule(0.12, "confidence", "own rule: below it, language and codec must agree (chardet's is low)"),
    "document_max_megabytes": Rule(32, "MB", "own rule: ten Bibles; it bounds the memory of a worker"),
    "expansion_max": Rule(200, "times", "own rule: real text packs to a third or a tenth, a bomb to a thousandth"),
    "wiki_max_characters": Rule(2_097_152, "characters", "MediaWiki: a page has at most 2 MiB"),
    "markup_max_work": Rule(2e7, "unclosed marks x characters", "own rule: some ten seconds of the parser"),
    "code_generated_lines": Rule(5, "lines", "StarCoder2: a generator names itself at the top of the file"),
    "index_from": Rule(0.75, "of the lines", "own rule: a back-of-book index stands in the last quarter"),
    "language_head": Rule(1_000, "characters", "fastText reads a line; longer heads change little and cost time"),
    "shingle_words": Rule(5, "words", "FineWeb, BigCode, RefinedWeb: five words in a row", least=1),
    "contamination_words": Rule(13, "words", "GPT-3: 13 words in a row of an evaluation text", least=1),
    "contamination_min_words": Rule(8, "words", "own rule: a shorter evaluation text is compared whole, from 8 words"),
}


@dataclass(frozen=True)
class Limit:
    """A document passes when ``low <= score <= high``."""

    score: str  # a key of scores.measure()
    low: float = -inf
    high: float = inf
    unit: str = "share"

    def passes(self, scores: dict[str, float]) -> bool:
        """True also for a score that this kind does not have: code is in no natural language."""
        return self.score not in scores or self.low <= scores[self.score] <= self.high


@dataclass(frozen=True)
class RuleSet:
    limits: tuple[Limit, ...]
    source: str


RULE_SETS = {
    "language": RuleSet(
        (Limit("english", low=0.65, unit="probability"),), "FineWeb: fastText's lid.176, here the small one"
    ),
    "c4": RuleSet(
        (
            Limit("c4_sentences", low=5, unit="sentences"),
            Limit("c4_curly_brackets", high=0, unit="brackets"),
            Limit("c4_lorem_ipsum", high=0, unit="phrases"),
        ),
        "Raffel and others 2020, section 2.2; what counts are the lines its line rules keep",
    ),
    "gopher_quality": RuleSet(
        (
            Limit("words", 50, 100_000, "words"),
            Limit("mean_word_length", 3, 10, "characters a word"),
            Limit("hashes_per_word", high=0.1, unit="per word"),
            Limit("ellipses_per_word", high=0.1, unit="per word"),
            Limit("bullet_lines", high=0.9),
            Limit("ellipsis_lines", high=0.3),
            Limit("words_with_a_letter", low=0.8),
            Limit("stop_words", low=2, unit="of 8"),
        ),
        "Rae and others 2021, appendix A1.1; punctuation marks are words, as in datatrove",
    ),
    "gopher_repetition": RuleSet(
        (
            Limit("duplicate_paragraphs", high=0.30),
            Limit("duplicate_paragraph_chars", high=0.20),
            Limit("duplicate_lines", high=0.30),
            Limit("duplicate_line_chars", high=0.20),
            *(Limit(f"top_{n}_gram", high=(24 - 2 * n) / 100) for n in range(2, 5)),  # 0.20, 0.18, 0.16
            *(Limit(f"duplicate_{n}_grams", high=(20 - n) / 100) for n in range(5, 11)),  # 0.15 to 0.10
        ),
        "Rae and others 2021, table A1: shares of lines and paragraphs, else of characters",
    ),
    "fineweb": RuleSet(
        (
            Limit("lines_with_end_mark", low=0.12),
            Limit("short_lines", high=0.67),
            Limit("repeated_line_chars", high=0.01),
            Limit("newlines_per_word", high=0.3, unit="per word"),
        ),
        "Penedo and others 2024, section 3.6",
    ),
    "bigcode": RuleSet(
        (
            Limit("longest_line", high=1_000, unit="characters"),
            Limit("mean_line", high=100, unit="characters"),
            Limit("alphanumeric", low=0.25),
            Limit("comments", 0.01, 0.80),
        ),
        "Kocetkov and others 2022, Li and others 2023 (StarCoder); comments: whole lines and docstrings",
    ),
}


@dataclass(frozen=True)
class Kind:
    """What is done with texts of one kind, and by which limits: a new kind is one more of these."""

    steps: tuple[str, ...]  # "module.function", in this order; cheap refusals first, what is cut decides what is short
    min_chars: Rule
    same_side: Rule  # from this share of word runs on, two documents are not divided between training and validation
    min_english: Rule | None = None  # None: in any language
    near_duplicate: Rule = Rule(0.70, "Jaccard", "BigCode, text-dedup", least=0.05)
    bands: Rule = Rule(14, "bands", "FineWeb", least=1)
    rows: Rule = Rule(8, "rows", "FineWeb", least=1)
    cuts: tuple[str, ...] = ()  # scores by which it is cut: web rules cut only what was written for the web


_TEXT = ("steps.decode", "steps.line_endings", "steps.mojibake")
_LAST = ("private.private_data", "steps.trim", "steps.too_short")
KINDS = {
    "book": Kind(
        (*_TEXT, "steps.unicode_form", "books.not_text", "books.gutenberg_licence", "books.apparatus", *_LAST,
         "steps.language"),
        min_chars=Rule(1_000, "characters", "own rule: half of a short poem"),
        same_side=Rule(0.02, "containment", "own rule: in the gap between reprinted poems and unrelated books"),
        min_english=Rule(0.10, "probability", "own rule: the spelling of 1623 scores 0.2, another language 0.0"),
        near_duplicate=Rule(0.10, "Jaccard", "own rule: in the gap below the editions of one play", least=0.05),
        bands=Rule(300, "bands", "own rule: finds 0.95 of the pairs at a Jaccard of 0.10", least=1),
        rows=Rule(2, "rows", "own rule: goes with the bands", least=1),
    ),
    "wiki": Kind(
        ("steps.decode", "wikitext.other_language", "wikitext.not_an_article", "wikitext.redirect",
         "wikitext.disambiguation", *_TEXT[1:], "wikitext.markup", "steps.unicode_form", *_LAST, "steps.language"),
        min_chars=Rule(250, "characters", "own rule: a stub says little beyond its title"),
        same_side=Rule(0.05, "containment", "own rule: unrelated articles share less"),
        min_english=Rule(0.10, "probability", "own rule: lists of names and formulas score 0.4"),
    ),
    "code": Kind(
        (*_TEXT[:2], "code.generated", "code.licence_header", "code.does_not_parse", *_LAST),
        min_chars=Rule(100, "characters", "own rule: drops empty and import-only __init__ files"),
        same_side=Rule(0.30, "containment", "own rule: there is no gap in code"),
        cuts=("longest_line", "mean_line", "alphanumeric"),
    ),
    "review": Kind(
        (*_TEXT[:2], "steps.tags", _TEXT[2], "steps.unicode_form", *_LAST, "steps.language"),
        min_chars=Rule(250, "characters", "Gopher's 50 words, at five characters: both limits say the same"),
        same_side=Rule(0.10, "containment", "own rule: unrelated reviews share less"),
        min_english=Rule(0.65, "probability", "FineWeb"),
        cuts=tuple(limit.score for limit in RULE_SETS["gopher_quality"].limits),
    ),
    "text": Kind(  # anybody's, in any language
        (*_TEXT, "steps.unicode_form", *_LAST),
        min_chars=Rule(25, "characters", "own rule: a line of verse; a Chinese character counts twice"),
        same_side=Rule(0.10, "containment", "own rule: as for reviews"),
    ),
}  # fmt: skip
RULES = _OF_ANY_KIND | {
    f"{kind}_{name}": rule for kind, of in KINDS.items() for name, rule in vars(of).items() if isinstance(rule, Rule)
}

REASONS = {
    "archive": "an archive, or packed in a way that is not read: unpack it first",
    "not_a_file": "a pipe, socket or device, not a file",
    "link_outside": "a symbolic link to what is not read otherwise, or to nowhere",
    "unreadable": "the system refuses to read it",
    "truncated": "a compressed stream that ends too early",
    "damaged": "a compressed stream, dump or table that its format does not allow",
    "expands": "a compressed stream that grows beyond every real text",
    "too_large": "larger than any document that is meant (document_max_megabytes, wiki_max_characters)",
    "broken_line": "a line that is not JSON",
    "no_text": "a row without a text in the text column",
    "too_deep": "mark-up nested deeper than a person writes",
    "step_failed": "a step could not cope with it (a fault of this program; please report it)",
    "undecodable": "no codec makes text of its bytes that its language confirms: no text, damaged, or an old codec",
    "format": "not plain text but a format that is not read; what was seen names it and what to do",
    "not_text": "a list of key = value lines, not a text",
    "too_short": "shorter than its kind's minimum",
    "redirect": "a Wikipedia page that only points to another",
    "not_an_article": "a talk, help or project page of Wikipedia",
    "other_language": "not in English: the dump or the language model says so",
    "disambiguation": "a Wikipedia page that only lists other pages",
    "generated": "code that says a program wrote it",
    "does_not_parse": "code that Python cannot parse",
    "c4": "fails a rule of C4",
    "gopher_quality": "fails a quality rule of Gopher",
    "gopher_repetition": "fails a repetition rule of Gopher",
    "fineweb": "fails a rule of FineWeb",
    "bigcode": "code with lines so long, or so few letters, that it must be data",
    "exact_duplicate": "the same text as another document, white space apart",
    "near_duplicate": "shares most word runs with a longer document",
    "contaminated": "holds an evaluation text",
}

# Of these reasons nobody judged the text: it could not be read, or not be cleaned. They are worth a look.
QUARANTINE = (
    *("archive", "not_a_file", "link_outside", "unreadable", "truncated", "damaged", "expands", "too_large"),
    *("broken_line", "no_text", "too_deep", "step_failed", "undecodable", "format"),
)


def value(name: str) -> float:
    return RULES[name].value


def limits() -> dict[str, float]:
    """Every number that can be set, by its name: those of `RULES`, and each end of a rule set's limit ("words_min")."""
    ends = {f"{limit.score}_{end}": getattr(limit, low_or_high) for rule_set in RULE_SETS.values()
            for limit in rule_set.limits for end, low_or_high in (("min", "low"), ("max", "high"))}  # fmt: skip
    return {name: rule.value for name, rule in RULES.items()} | ends


def concerning(kind: str) -> dict[str, float]:
    """Those of `limits` that decide what becomes of a document of `kind`, its twins apart."""
    steps = {"markup_max_work": "wikitext.markup", "index_from": "books.apparatus", "language_head": "steps.language"}
    cut = {f"{score}_{end}" for score in KINDS[kind].cuts for end in ("min", "max")}
    others = (*(f"{other}_" for other in KINDS if other != kind), "contamination_", f"{kind}_same", f"{kind}_near")
    return {
        name: float(number)  # 25 and 25.0 are the same
        for name, number in limits().items()
        if name in cut | {*RULES} and not name.startswith(others) and steps.get(name, "steps.trim") in KINDS[kind].steps
    }


@contextlib.contextmanager
def changed(numbers: dict[str, float]) -> Iterator[None]:
    """Inside of it, the limits named in `numbers` have these values.

    Raises:
        ValueError: a name that is none of `limits`; the message has those most like it. Or a number that is no limit,
            or a similarity from which on the bands would find less than half of the pairs.
    """
    known = limits()
    for name, number in numbers.items():
        if name not in known:
            near = ", ".join(difflib.get_close_matches(name, known, n=5, cutoff=0.4)) or "see --limits"
            raise ValueError(f"there is no limit {name!r}; did you mean one of these: {near}?")
        least = RULES[name].least if name in RULES else 0
        if not number >= least:  # nor is nan
            raise ValueError(f"{name} = {number:g}: give a number of at least {least:g}")
    before = dict(RULES), dict(KINDS), dict(RULE_SETS)
    try:
        for name, number in numbers.items():
            if name in RULES:
                RULES[name] = replace(RULES[name], value=number, why="set by the user")
            for kind, of in KINDS.items():
                if name.removeprefix(f"{kind}_") in vars(of) and name.startswith(f"{kind}_"):
                    KINDS[kind] = of = replace(of, **{name.removeprefix(f"{kind}_"): RULES[name]})
        for kind, of in KINDS.items():
            like = min(of.near_duplicate.value, 1)
            if (found := 1 - (1 - like**of.rows.value) ** of.bands.value) < 0.5:
                need = f"{kind}_rows=2 and {kind}_bands={math.ceil(math.log(0.05) / math.log(1 - like**2))}"
                raise ValueError(
                    f"{kind}_near_duplicate = {like:g}: {found:.1%} of such pairs are found; set {need}, too"
                )
        for name, rule_set in RULE_SETS.items():
            found = [
                replace(limit, low=numbers.get(f"{limit.score}_min", limit.low),
                        high=numbers.get(f"{limit.score}_max", limit.high))
                for limit in rule_set.limits
            ]  # fmt: skip
            RULE_SETS[name] = replace(rule_set, limits=tuple(found))
        yield
    finally:
        for table, old in zip((RULES, KINDS, RULE_SETS), before, strict=True):
            table.clear()
            table.update(old)
