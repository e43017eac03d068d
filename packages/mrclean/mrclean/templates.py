"""What a reader sees of Wikipedia's templates: words inside a sentence, or nothing.

`shown` knows those that stand for text, `DECORATION` those that stand for none (boxes, notes, references, pictures).
What is neither is left out and counted, by its name and with the words that it held.
"""

from __future__ import annotations

import re
from collections.abc import Callable

_MONTHS = (
    "January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November",
    "December",
)  # fmt: skip
# Stands for itself.
_SIGNS = {
    "ndash": "–", "mdash": "—", "spaced ndash": " – ", "snd": " – ", "spnd": " – ", "nbsp": " ", "dash": "–",
    "en dash": "–", "em dash": "—", "endash": "–", "en-dash": "–", "spaced en dash": " – ", "emdash": "—",
    "em-dash": "—", "nnbsp": " ", "sp": " ", "spaces": " ", "space": " ", "br": "\n", "pb": "\n\n",
    "paragraph break": "\n\n", "crlf": "\n", "break": "\n", "flat": "♭", "sharp": "♯", "spaced mdash": " — ",
    "'": "'", "'s": "'s", "'\"": "'\"", "\"'": "\"'", "!": "|", "=": "=", "bull": "•", "dot": "·", "middot": "·",
    "·": "·", "•": "•", "times": "×", "pi": "π", "degree": "°", "deg": "°", "zwj": "", "zwnj": "", "thinsp": " ",
    "hair space": " ", "shy": "", "wbr": "", "okina": "ʻ", "prime": "′", "ft": "ft", "in": "in", "minus": "−",
    "half": "1/2", "co2": "CO2", "h2o": "H2O", **{part: part for part in ("1/2", "1/3", "2/3", "1/4", "3/4")},
}  # fmt: skip
# Of these the reader sees one argument: its number, or -1 for the last.
_ARGUMENT = {
    **dict.fromkeys((
        "nowrap", "nobr", "j", "small", "smaller", "big", "larger", "em", "strong", "strike", "s", "u",
        "underline", "sc", "smallcaps", "caps", "tt", "mono", "code", "kbd", "var", "center", "abbr", "abbrlink",
        "tooltip", "hover title", "unicode", "polytonic", "hebrew", "nastaliq", "greek", "coptic", "not a typo",
        "typo", "as written", "visible anchor", "vanchor", "ill", "interlanguage link", "flag", "flagcountry",
        "flagu", "math", "mvar", "overline", "overset", "chem2", "ce", "angle", "keypress", "key press",
        "nihongo2", "nihongo3", "linktext", "iw", "strong", "block indent", "poem", "proper name", "noitalic",
        "normal", "italics correction", "no bold", "nobold", "no italic", "smalldiv", "bigger", "large",
        "allow wrap", "bolditalic", "bold", "italic", "italics", "ipa-all", "translation",
    ), 1),
    **dict.fromkeys((
        "lang", "langx", "script", "resize", "color", "colour", "fs", "rtl-lang", "rtl lang", "font size",
        "fontcolor", "align", "columns-list",
    ), 2),
    **dict.fromkeys((
        "w", "font color", "font", "wikt-lang", "wt", "transl", "transliteration", "wiktlang", "text color",
    ), -1),
}  # fmt: skip
_QUOTES = (
    "quote", "cquote", "rquote", "bquote", "blockquote", "quotation", "poemquote", "poem quote", "quote box",
    "centered pull quote", "imagequote", "quote frame", "block quote", "epigraph", "pull quote",
)  # fmt: skip
_JOINED = {
    "hlist": ", ", "flatlist": ", ", "plainlist": "\n", "ubl": ", ", "unbulleted list": ", ", "ublist": ", ",
    "gaps": "", "chem": "", "sortname": " ", "verse translation": "\n", "csv": ", ", "enum": ", ",
    "bulleted list": "\n", "bulletedlist": "\n", "cslist": ", ",
}  # fmt: skip
_MONEY = {
    "us$": "US$", "usd": "US$", "$": "$", "£": "£", "gbp": "£", "€": "€", "eur": "€", "euro": "€", "¥": "¥",
    "jpy": "¥", "inr": "₹", "indian rupee": "₹", "a$": "A$", "aud": "A$", "c$": "C$", "cad": "C$",
    "pound sterling": "£",
}  # fmt: skip
_RANGES = {
    "to": "to", "-": "–", "–": "–", "and": "and", "or": "or", "by": "by", "x": "×", "×": "×", "*": "×",
    "to(-)": "to", "and(-)": "and", "+/-": "±", "±": "±", "+": "+", ",": ",", "/": "/", "to about": "to about",
    "xx": "×",
}  # fmt: skip
_DATES = (
    "start date", "end date", "birth date", "death date", "birth date and age", "death date and age", "date",
    "dts", "start date and age", "film date", "release date", "bda", "dda", "birth-date", "death-date", "dob",
)  # fmt: skip
_YEARS = {"circa": "c. ", "c.": "c. ", "ca": "c. ", "floruit": "fl. ", "fl.": "fl. ", "reign": "r. ", "r.": "r. "}
# Whole words: "years ago" and "movement" stand for text. What is known under longer names says so by its "\w*".
DECORATION = re.compile(
    r"(?:(?:info|nav|side|tax|species|auto.?tax|chem|drug|geo|legend|sister|track|album|s-)\s?box(?:es)?|infobox\w*"
    r"|geobox|taxobox|navbox\w*|cit(?:e\w*|ation|ations)|sfn\w*|harv\w*|r$|refn?$|ref |efn\w*|notes?|rp$|reflist"
    r"|references|refbegin|refend|notelist|isbn|issn|doi$|oclc|lccn|arxiv|pmid|jstor|main(?:article)?|see(?:also)?"
    r"|further\w*|details|about|other\w*|redirect\w*|distinguish|for$|for\d|hatnote|dablink|portal\w*|commons\w*"
    r"|wiki\w+|wikt\w*|sister\w*|gutenberg|librivox|imdb|official|pp-|pp$|protect\w*|short desc\w*|use "
    r"|default ?sort|coord\w*|authority|good article|featured|top icon|clean\w*|unref\w*|refimprove\w*|more "
    r"|one source|fact$|cn$|clarify|who$|when$|which$|where$|why$|by whom|according|dead link|webarchive|page needed"
    r"|page number|verif\w*|failed|dubious|disputed|pov|weasel|peacock|expand|update|outdated|merge\w*|split|move"
    r"|copy ?edit\w*|tone|essay|original research|or$|lead |globali[sz]e|recent\w*|current|ipa\w*|usdict|respell"
    r"|pron-|audio|listen|flagicon\w*|flag icon|clear\w*|-$|toc\w*|col-|col$|div col|colend|col begin|end$|start$|s-"
    r"|start box|end box|succession|multiple images?|image|css|wide image|panorama|gallery|location map|annotated"
    r"|stub|.*-stub$|anchors?|inflation-fn|linkcategory|cat |category|catalog|lists?$|persondata|link [fg]a|interwiki"
    r"|family ?tree|chart|clade|barbox|bar |graph|rail|route|bs|fb |football\w*|nfl|mlb|medal\w*|weather|climate"
    r"|election|party|timeline|shortcut|.* topics?$|.* sidebar$|.* series$|series|part of|history of|politics of"
    r"|philosophy|anarchism|socialism|template|#tag$|void|empty|hidden|break|br$|nowiki|in ?use"
    r"|under construction|vandal\w*|semi|bots|dmy|mdy|tfd|afd|prod|db-|notability|sections|year"
    r"|lang(?:uage)? icon|\w\w icon|ref-|sort$|ntsh|hs$|hidden sort)(?:(?<=[ -])|(?![^\W\d_]))",
    re.I,
)


def shown(name: str, given: list[str], named: dict[str, str]) -> str | None:
    """What the reader sees of ``{{name|given|named=…}}``; "" where nothing, None where that is not known.

    `name` is in lower case; arguments are plain text already.
    """
    given = [value.strip() for value in given]
    first = given[0] if given else named.get("1", "")
    if name in _SIGNS:
        return _SIGNS[name]
    if name == "music":
        return {"flat": "♭", "sharp": "♯", "natural": "♮"}.get(first, first)
    if name.endswith(" span"):  # a remark on the words inside
        return named.get("text", first)
    if name in ("harvtxt", "harvcoltxt"):
        return " ".join(given[:-1]) + (f" ({given[-1]})" if len(given) > 1 else first)
    if name in _ARGUMENT:
        wanted = _ARGUMENT[name]
        return (given[wanted - 1 if wanted > 0 else -1] if len(given) >= max(1, wanted) else first) or named.get(
            "text", ""
        )
    if name.startswith("lang-") or name.startswith("script/"):
        return first
    if name in _QUOTES:
        if first.lower() in ("left", "right", "center"):  # where the box stands
            given = given[1:]
            first = given[0] if given else ""
        text = first or next((named[k] for k in ("text", "quote", "1") if k in named), "")
        by = given[1] if len(given) > 1 else next((named[k] for k in ("author", "sign", "by", "2") if k in named), "")
        return f"\n{text}\n" + (f"— {by}\n" if by and name not in ("cquote", "rquote") else "")
    if name in _JOINED:
        return _JOINED[name].join(value for value in given if value)
    if name in _MONEY:
        return f"{_MONEY[name]}{first}"
    for made_of, names in _MADE.items():
        if name in names:
            return made_of(name, given, named)
    if (function := name.partition(":")[0]) in _FUNCTIONS and ":" in name:
        return _FUNCTIONS[function](name.partition(":")[2].strip())
    return "" if DECORATION.match(name) else None


def is_text(name: str) -> bool:
    """Does this template stand for words, whatever its arguments are?"""
    if name in ("music", "harvtxt", "harvcoltxt") or name.endswith(" span"):
        return True
    known = (_SIGNS, _ARGUMENT, _QUOTES, _JOINED, _MONEY, *_MADE.values())
    return any(name in names for names in known) or name.startswith(("lang-", "script/", *_FUNCTIONS))


def _grouped(number: str) -> str:
    whole, point, rest = number.partition(".")
    return f"{int(whole):,}{point}{rest}" if re.fullmatch(r"-?\d{1,18}", whole) else number


_FUNCTIONS = {"formatnum": _grouped, "lc": str.lower, "uc": str.upper}  # MediaWiki's own, written {{name:argument}}


_TOGETHER = {("ft", "in"), ("yd", "ft"), ("lb", "oz"), ("st", "lb"), ("mi", "yd"), ("mi", "ft"), ("mi", "chain"),
             ("yd", "in"), ("h", "min"), ("°", "′")}  # fmt: skip


def _convert(name: str, given: list[str], named: dict[str, str]) -> str:
    """A quantity, or a range of them, with its unit: 400|to|670|mm."""
    begin = given.pop(0) + " " if given and given[0].lower() in ("between", "from") else ""
    parts, at = [given[0]] if given else [], 1
    while at + 1 < len(given) and given[at].lower() in _RANGES:
        parts += [_RANGES[given[at].lower()], given[at + 1]]
        at += 2
    unit = given[at] if at < len(given) else ""
    told = begin + " ".join(parts).replace(" – ", "–").replace(" / ", "/")  # without blanks around a dash
    # Units that come together: 5|ft|10|in.
    while at + 2 < len(given) and (given[at].lower(), given[at + 2].lower()) in _TOGETHER:
        told += f" {given[at]} {given[at + 1]}"
        at += 2
        unit = given[at]
    return f"{told} {unit}".strip()


def _fraction(name: str, given: list[str], named: dict[str, str]) -> str:
    if len(given) >= 3:
        return f"{given[0]} {given[1]}/{given[2]}"
    return "/".join(given) if len(given) == 2 else f"1/{given[0]}" if given else "/"


def _value(name: str, given: list[str], named: dict[str, str]) -> str:
    if name in ("e", "x10^"):
        return f"×10^{given[0]}" if given else ""
    told = f"{given[0]}" if given else ""
    if len(given) > 1 and given[1]:  # how uncertain it is: ± 0.3, or "(15)" of the last digits
        if len(given) > 2 and given[2]:  # upwards and downwards
            told += f" +{given[1].lstrip('+')} −{given[2].lstrip('-−')}"
        else:
            told += given[1] if given[1].startswith("(") else f" ± {given[1]}"
    told += f"×10^{named['e']}" if named.get("e") else ""
    unit = named.get("u") or named.get("ul") or named.get("up") or ""
    return f"{told} {unit}".strip()


def _date(name: str, given: list[str], named: dict[str, str]) -> str:
    written = {month.lower()[:3]: str(number) for number, month in enumerate(_MONTHS, start=1)}
    parts = [written.get(value.lower()[:3], value) for value in given[:3]]
    numbers = [int(value) for value in parts if re.fullmatch(r"-?\d{1,9}", value)]
    if not numbers:
        return given[0] if given else ""
    year, month, day = [*numbers, 0, 0][:3]
    if day > 31:  # the year stands last, and nobody says whether the month stands first
        return " ".join(given[:3])
    if not 1 <= month <= 12:
        return str(year) if name != "date" else " ".join(given)
    year = f"{-year} BC" if year < 0 else year
    day_first = named.get("df", "").lower() in ("y", "yes")
    in_month = f"{day} {_MONTHS[month - 1]}" if day_first else f"{_MONTHS[month - 1]} {day}"
    return f"{_MONTHS[month - 1]} {year}" if not day else f"{in_month}{'' if day_first else ','} {year}"


def _as_of(name: str, given: list[str], named: dict[str, str]) -> str:
    begin = "since" if named.get("since") else "as of"
    begin = begin if named.get("lc") else begin.capitalize()
    return named.get("alt") or f"{begin} {_date('as of', given, {'df': 'y'})}"


def _years(name: str, given: list[str], named: dict[str, str]) -> str:
    return _YEARS[name] + "–".join(value for value in given[:2] if value)


def _nihongo(name: str, given: list[str], named: dict[str, str]) -> str:
    """English (kanji, rōmaji)."""
    others = ", ".join(value for value in given[1:3] if value)
    return f"{given[0]} ({others})" if given and given[0] and others else (given[0] if given and given[0] else others)


def _small(name: str, given: list[str], named: dict[str, str]) -> str:
    inside = given[0] if given else ""
    return f"^{inside}" if name in ("sup", "superscript") else f"√{inside}" if name in ("radic", "sqrt") else inside


def _bracketed(name: str, given: list[str], named: dict[str, str]) -> str:
    inside = given[0] if given else ""
    return f"‘{inside}’" if name in ("gloss", "single quotes", "singlequote") else f"⟨{inside}⟩"


def _sic(name: str, given: list[str], named: dict[str, str]) -> str:
    return "".join(given[:2])


def _chinese(name: str, given: list[str], named: dict[str, str]) -> str:
    return "; ".join([*given, *(named[k] for k in ("c", "t", "s", "p", "w", "j") if named.get(k))])


def _ship(name: str, given: list[str], named: dict[str, str]) -> str:
    prefix = name.upper() if len(name) < 5 and name != "ship" else ""
    return " ".join([*([prefix] if prefix else []), *(value for value in given[: 1 if prefix else 2] if value)])


_MADE: dict[Callable, tuple[str, ...]] = {
    _convert: ("convert", "cvt"),
    _fraction: ("frac", "fraction", "sfrac", "frac2", "fract"),
    _value: ("val", "e", "x10^", "scinote"),
    _date: _DATES,
    _as_of: ("as of", "asof", "as-of"),
    _years: tuple(_YEARS),
    _nihongo: ("nihongo", "nihongo foot", "korean", "transliterate"),
    _small: ("sup", "superscript", "sub", "subscript", "radic", "sqrt"),
    _bracketed: ("angbr", "angle bracket", "gloss", "single quotes", "singlequote", "grapheme"),
    _sic: ("sic", "typo help inline"),
    _chinese: ("zh", "zh-cn", "zh-cp", "zh-c"),
    _ship: ("ship", "hms", "uss", "ss", "sms", "rms", "hmas", "hmcs"),
}
