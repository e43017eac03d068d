"""Where text may be cut: the split patterns of GPT-2, GPT-4 and GPT-4o.

All three are written as they were first published. tiktoken later rewrote two of them with possessive quantifiers and
`\\s++$`. With the published vocabularies that gives the same ids, but `{1,3}+` and `$` mean other things in other regex
engines, and a vocabulary that is newly learned would see other pieces. Written so, one string serves Python's `regex`,
tiktoken and Hugging Face tokenizers.
"""

from __future__ import annotations

import unicodedata

import regex

# What the patterns ask of a character. White space is in it because `\s` differs between engines by tradition.
CLASSES = (r"\p{L}", r"\p{N}", r"\s", r"\p{Lu}", r"\p{Ll}", r"\p{Lt}", r"\p{Lm}", r"\p{Lo}", r"\p{M}")

GPT2 = (
    r"'s|'t|'re|'ve|'m|'ll|'d"  # contractions, in small letters only
    r"| ?\p{L}+"  # a word with its space
    r"| ?\p{N}+"  # digits, as many as there are
    r"| ?[^\s\p{L}\p{N}]+"  # punctuation
    r"|\s+(?!\S)"  # blanks and line ends but for the last, which belongs to the next word
    r"|\s+"
)
CL100K = (  # GPT-4
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)"  # contractions
    r"|[^\r\n\p{L}\p{N}]?\p{L}+"  # a word, with one character before it: mostly its space
    r"|\p{N}{1,3}"  # digits in groups of three, from the left
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*"  # punctuation, with the line ends that follow
    r"|\s*[\r\n]+"  # line ends, with the blanks before them
    r"|\s+(?!\S)"  # blanks but for the last, which belongs to the next word
    r"|\s+"
)
_UPPER, _LOWER = r"[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]", r"[\p{Ll}\p{Lm}\p{Lo}\p{M}]"  # both: letters without case, accents
_CONTRACTION = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
O200K = (  # GPT-4o
    rf"[^\r\n\p{{L}}\p{{N}}]?{_UPPER}*{_LOWER}+{_CONTRACTION}"  # a word up to where small letters end
    rf"|[^\r\n\p{{L}}\p{{N}}]?{_UPPER}+{_LOWER}*{_CONTRACTION}"  # a word that begins with capitals
    r"|\p{N}{1,3}"
    r"| ?[^\s\p{L}\p{N}]+[\r\n/]*"  # the line ends and slashes after punctuation belong to it
    r"|\s*[\r\n]+"
    r"|\s+(?!\S)"
    r"|\s+"
)


def split_text(text: str, pattern: str = CL100K) -> list[str]:
    """Cut `text` into the pieces that merges never cross; the pieces joined are the text again.

    Raises:
        ValueError: for a lone surrogate (half of a UTF-16 pair: it has no UTF-8 bytes), and for a pattern that
            would drop characters.
    """
    utf8(text)
    pieces = regex.findall(pattern, text)
    if "".join(pieces) != text:
        raise ValueError(f"the split pattern drops characters of this text: {pattern}")
    return pieces


def check_pattern(pattern: str) -> None:
    """Raise ValueError for a pattern that does not compile, holds groups, or matches where nothing is."""
    try:
        compiled = regex.compile(pattern)
    except (regex.error, TypeError) as error:
        raise ValueError(f"the split pattern {pattern!r} is no regular expression ({error})") from error
    if compiled.groups or compiled.match(""):
        raise ValueError(f"the split pattern {pattern!r} must match something, whole: no groups (write (?:…)), no *")


def utf8(text: str) -> bytes:
    """The UTF-8 bytes of `text`.

    Raises:
        ValueError: for a lone surrogate, with its place.
    """
    try:
        return text.encode("utf-8")
    except UnicodeEncodeError as error:
        raise ValueError(
            f"character {error.start} is the lone surrogate U+{ord(text[error.start]):04X}, which has no UTF-8 bytes; "
            "decode the source again with the right codec (notebook 01)"
        ) from error


def shared_characters() -> list[str]:
    """Every assigned character that Python's `regex` and tiktoken's engine put into the same classes.

    Their Unicode tables are of different years, so a few characters are letters to one and unassigned to the other.
    Only on the rest can two tokenizers be expected to agree.
    """
    import tiktoken

    single = "".join(map(chr, [*range(0xD800), *range(0xE000, 0x110000)]))  # every character there can be, once
    single_bytes = {bytes([i]): i for i in range(256)}
    different: set[str] = set()
    for pattern in CLASSES:
        # tiktoken drops what its pattern does not match: what comes back are the characters of the class.
        members = tiktoken.Encoding("class", pat_str=pattern, mergeable_ranks=single_bytes, special_tokens={})
        different |= set(members.decode(members.encode_ordinary(single))) ^ set(regex.findall(pattern, single))
    return [c for c in single if c not in different and unicodedata.category(c) not in ("Cn", "Co")]
