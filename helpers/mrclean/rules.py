"""Every threshold and every reason for dropping a document, as data: change a number here, not in a step."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Rule:
    value: float
    unit: str
    why: str  # where the number comes from


RULES = {
    "undecodable_share": Rule(
        0.001, "of characters", "own rule: U+FFFD, surrogates and control characters in decoded text"
    ),
    "book_min_chars": Rule(1_000, "characters", "own rule: half of a short poem"),
    "wiki_min_chars": Rule(250, "characters", "own rule: a stub says little beyond its title"),
    "code_min_chars": Rule(100, "characters", "own rule: drops empty and import-only __init__ files"),
    "code_max_line": Rule(1_000, "characters", "StarCoder (bigcode-dataset, preprocessing): longer lines are data"),
    "code_generated_lines": Rule(5, "lines", "StarCoder2: a generator names itself at the top of the file"),
    "index_from": Rule(0.75, "of the lines", "own rule: a back-of-book index stands in the last quarter"),
    "shingle_words": Rule(5, "words", "FineWeb, BigCode: five words in a row"),
    "book_near_duplicate": Rule(0.20, "containment", "own rule: in the gap below the editions of one play"),
    "wiki_near_duplicate": Rule(0.80, "containment", "own rule: nearly all of it is elsewhere"),
    "code_near_duplicate": Rule(0.80, "containment", "own rule: nearly all of it is elsewhere"),
    "book_same_side": Rule(0.02, "containment", "own rule: in the gap between reprinted poems and unrelated books"),
    "wiki_same_side": Rule(0.05, "containment", "own rule: unrelated articles share less"),
    "code_same_side": Rule(0.30, "containment", "own rule: there is no gap in code"),
}


REASONS = {
    "undecodable": "no codec turns its bytes into text",
    "not_text": "a list of key = value lines, not a text",
    "too_short": "shorter than its kind's minimum",
    "redirect": "a Wikipedia page that only points to another",
    "not_an_article": "a talk, help or project page of Wikipedia",
    "other_language": "the dump says it is not in English",
    "disambiguation": "a Wikipedia page that only lists other pages",
    "generated": "code that says a program wrote it",
    "long_line": "code with a line so long that it must be data",
    "does_not_parse": "code that Python cannot parse",
    "exact_duplicate": "the same text as another document, white space apart",
    "near_duplicate": "shares most word runs with a longer document",
}


def value(name: str) -> float:
    return RULES[name].value
