"""Steps for Wikipedia pages, written in wikitext (MediaWiki's mark-up)."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import replace

from . import templates
from .document import Document, Drop, Keep
from .rules import value

_REDIRECT = re.compile(r"\s*#\s*redirect\b", re.I)
# The template that marks the page itself. "{{other uses|Ada (disambiguation)}}" only points to such a page.
_DISAMBIGUATION = re.compile(
    r"\{\{\s*(?:disambig(?:uation)?|dab|hndis|human name disambiguation|geodis|airport disambiguation)\s*[|}]", re.I
)
# Sections that hold links and notes, not sentences; and those that may hold either.
_LINK_SECTIONS = {
    *("references", "footnotes", "citations", "notes and references", "works cited"),
    *("external links", "see also", "further reading", "gallery"),
}
_PERHAPS_LINKS = {"notes", "sources", "bibliography"}
_SENTENCE = re.compile(r"^(?!- )(?:\S+ ){11,}.*[.?!]$", re.M)
_SKIPPED_TAGS = {
    *("ref", "references", "gallery", "imagemap", "table", "timeline"),
    *("math", "score", "source", "syntaxhighlight"),
}
_BLOCK_TAGS = {"div", "p", "blockquote", "center", "poem", "ul", "ol", "dl", "tr", "caption"}
_COMMENT = re.compile(r"<!--(?:(?!<!--).)*?-->", re.S)
# Written "<ref name=x />" or "<ref>…</ref>"; one never holds another, so the shortest span is the right one.
_REFERENCE = re.compile(r"<ref(?:\s[^<>]*)?/>|<ref(?:\s[^<>]*)?>(?:(?!<ref[\s>]).)*?</ref\s*>", re.S | re.I)
# "5<sup>1</sup>/<sub>2</sub>", perhaps in smaller letters.
_FRACTION = re.compile(r"(?:(?<=\d)((?:<small>)?))?<sup>(\d+)</sup>(?:/|⁄|&frasl;)<sub>(\d+)</sub>", re.I)
_PLAIN_LINK = re.compile(r"\[\[([^\[\]{}|<>\n]+)(?:\|([^\[\]{}|<>\n]*))?\]\]")
_BRACE_PAIR = re.compile(r"(\{\{|\}\})")
_TEMPLATE_NAME = re.compile(r"[^{}<>\[\]\n|#]+")  # anything else, and triple braces, is for the parser to judge
_HEADING = re.compile(r"^=.*$", re.M)
_LINK_HEADING = re.compile(r"==([^=\n]+)==[ \t]*")
_LIST_MARKS = re.compile(r"^([*#:;]{20})[*#:;]+", re.M)  # each is a node of its own; the tree of fishes goes 14 deep
_LITERAL = re.compile(r"<(?:nowiki|pre|code|source|syntaxhighlight)\b|\{\{\{", re.I)
# Files and categories, and links to the same page in another language ("fr:Paris"); "Re:Zero" is an article. With a
# colon in front ("[[:Category:Cities]]") a link is meant to be seen.
_SKIPPED_LINKS = re.compile(r"\s*(?:(?i:file|image|category|media)\s*:|(?:simple|[a-z]{2,3}(?:-[a-z]+)*):\S)")


def other_language(document: Document) -> Keep | Drop:
    if document.language.split("-")[0] not in ("en", ""):  # a dump may say nothing; then the language model decides
        return Drop("other_language", f"the dump says {document.language!r}: {document.title}")
    return Keep(document)


def not_an_article(document: Document) -> Keep | Drop:
    if document.namespace != 0:
        return Drop("not_an_article", f"namespace {document.namespace}: {document.title}")
    return Keep(document)


def redirect(document: Document) -> Keep | Drop:
    if _REDIRECT.match(document.text):
        return Drop("redirect", document.text)
    return Keep(document)


def disambiguation(document: Document) -> Keep | Drop:
    if document.title.endswith("(disambiguation)") or _DISAMBIGUATION.search(document.text):
        return Drop("disambiguation", document.text)
    return Keep(document)


def markup(document: Document) -> Keep | Drop:
    """Wikitext to plain text: references, tables, files and most templates go; link text and headings stay."""
    if len(document.text) > value("wiki_max_characters"):
        return Drop("too_large", f"{len(document.text):,} characters")
    work = unclosed(document.text) * len(document.text)
    # From some 100,000 "=" in one heading on, the parser takes the whole process down with it.
    if work > value("markup_max_work") or any(m[0].count("=") > 1000 for m in _HEADING.finditer(document.text)):
        return Drop("too_deep", f"{work // max(1, len(document.text)):,} marks without an end, {document.text[:200]}")
    try:
        text, unknown = read(document.text)
        return Keep(replace(document, text=text, left_out=unknown))
    except RecursionError:
        return Drop("too_deep", document.text[:200])


def plain_text(wikitext: str) -> str:
    """The sentences of a page, headings and list items on lines of their own."""
    return read(wikitext)[0]


def read(wikitext: str) -> tuple[str, Counter]:
    """(`plain_text`, the words of the templates that nobody knows here: {name: words})."""
    import mwparserfromhell

    unknown: Counter = Counter()
    wikitext = _LIST_MARKS.sub(r"\1", _COMMENT.sub("", wikitext))
    wikitext = _FRACTION.sub(lambda m: (" " if m[1] is not None else "") + f"{m[1] or ''}{m[2]}/{m[3]}", wikitext)
    if not _LITERAL.search(wikitext):
        # References are a third of an article, links the most frequent mark. The parser, which takes most of the time,
        # need not see what is plain to see; what is left leads to the same text (tests/test_mrclean.py).
        wikitext = _without_templates(_PLAIN_LINK.sub(_link_text, _REFERENCE.sub("", wikitext)), unknown)
        wikitext = _without_link_lists(wikitext)
    text = _plain(mwparserfromhell.parse(wikitext, skip_style_tags=True), unknown)
    # Bold and italics are left as they are by skip_style_tags.
    text = _BEHAVIOUR.sub("", without_quotes(text)).replace(_APOSTROPHE, "'").replace(_NOTHING, "")
    text = _without_link_sections(text)
    text = re.sub(r"[ \t]+", " ", text)
    # What a template leaves empty in brackets: all of it, or its beginning or end.
    text = re.sub(r"(?:(?<=\n)| |^)\( ?[;,: ]*\)", "", text)  # but "main()" keeps its own
    text = re.sub(r"\((?: ?[;,])++ ?", "(", text)
    text = re.sub(r"(?<![;, ])(?: ?[;,])++ ?\)", ")", text)
    text = re.sub(r"([;,])(?: ?[;,])++", r"\1", text)
    text = re.sub(r" ([,;:)]|\.(?!\w))", r"\1", text).replace("( ", "(")
    text = re.sub(r" *\n *", "\n", text)
    text = re.sub(r"^(?:- )+(?=- )", "", text, flags=re.M)  # a list in a list
    return re.sub(r"\n{3,}", "\n\n", text).strip() + "\n", unknown


_BEHAVIOUR = re.compile(r"__(?:(?:NO|FORCE)?TOC|(?:NO|NEW|EXPECT|HIDDEN|STATIC|DIS)[A-Z_]{2,30}|INDEX)__")
_NOTHING = "\ue001"
_APOSTROPHE = "\ue000"  # one that is no mark: it comes from a template, an entity, or from where mark-up is off
_QUOTE_MARKS = re.compile("('{2,})")


def without_quotes(text: str) -> str:
    """Without the marks of bold and italics, but with apostrophes that are none: as MediaWiki reads them, line by line.

    Four are an apostrophe and a bold mark. Where bold and italics are both left open, a bold mark is an apostrophe and
    an italic mark, as in "the ''Titanic'''s bow".
    """
    return "\n".join(_line_without_quotes(line) if "''" in line else line for line in text.split("\n"))


def _line_without_quotes(line: str) -> str:
    parts = _QUOTE_MARKS.split(line)
    marks = range(1, len(parts), 2)
    for at in marks:
        length = len(parts[at])
        wanted = 3 if length == 4 else min(length, 5)
        parts[at - 1] += "'" * (length - wanted)
        parts[at] = "'" * wanted
    bold = [at for at in marks if len(parts[at]) == 3]
    both = sum(len(parts[at]) == 5 for at in marks)
    italic = sum(len(parts[at]) == 2 for at in marks)
    if bold and (len(bold) + both) % 2 and (italic + both) % 2:
        inside = [at for at in bold if parts[at - 1][-1:].strip()]  # a word ends before the mark …
        one_letter = [at for at in inside if parts[at - 1][-2:-1] in ("", " ")]  # … of one letter: "l'''amour''"
        parts[(one_letter or inside or bold)[0] - 1] += "'"
    return "".join(parts[::2])


_MARK = re.compile(r"\{\{|\}\}|\[\[|\]\]|\[(?=https?:|//)|\]|\{\||\|\}|<!--|-->|(</?)([a-zA-Z]+)((?:\s[^<>]*)?>)?")
_OPENED_BY = {"}}": "{{", "]]": "[[", "]": "[", "|}": "{|", "-->": "<!--"}
_SINGLE_TAGS = {"br", "wbr", "hr", "meta", "link", "img", "li", "dt", "dd", "th", "td", "tr", "p"}


def unclosed(wikitext: str) -> int:
    """Marks that open something and close nothing. From each the parser runs to the end of the page and back."""
    stack: list[str] = []
    count = 0
    for match in _MARK.finditer(wikitext):
        mark, tag = match[0], match[2] and match[2].lower()
        if tag:
            if tag in _SINGLE_TAGS or (match[3] or "").endswith("/>"):
                continue
            if not match[3]:  # "<ref " and no ">"
                count += match[1] == "<"
                continue
            if match[1] == "<":
                stack.append(tag)
                continue
        opener = tag or _OPENED_BY.get(mark)
        if not opener:
            stack.append(mark)
        elif opener in stack[-40:]:  # the parser goes no deeper than this either
            while stack.pop() != opener:
                count += 1
    return count + len(stack)


def _link_text(match: re.Match) -> str:
    title, shown = match.groups()
    return "" if _SKIPPED_LINKS.match(title) else (title if shown is None else shown).removeprefix(":")


def _without_link_lists(wikitext: str) -> str:
    """Ends the page where a section of links begins that nothing but such sections follows: a page's usual end."""
    end = len(wikitext)
    for heading in reversed(list(_HEADING.finditer(wikitext))):
        title = _LINK_HEADING.fullmatch(heading[0])
        if not title or title[1].strip().lower() not in _LINK_SECTIONS:
            break
        end = heading.start()
    rest = wikitext[end:].lower()
    # Nothing may begin before the cut and end behind it.
    open_link = wikitext.count("[[", 0, end) > wikitext.count("]]", 0, end)
    return wikitext if open_link or any(mark in rest for mark in ("}}", "|}", "</")) else wikitext[:end]


def _without_templates(wikitext: str, unknown: Counter) -> str:
    """Without the outermost templates that show nothing, as long as all braces are in pairs; else unchanged."""
    kept, depth, begin = [], 0, 0
    left_out: Counter = Counter()
    pieces = _BRACE_PAIR.split(wikitext)
    for number, piece in enumerate(pieces):
        if piece == "{{":
            begin = number if depth == 0 else begin
            depth += 1
        elif piece == "}}":
            depth -= 1
            if depth < 0:
                return wikitext
            if depth:
                continue
            name, _, inside = pieces[begin + 1].partition("|")
            if not _TEMPLATE_NAME.fullmatch(name.strip()) or templates.is_text(_name(name)):
                kept += pieces[begin : number + 1]
            else:
                if not templates.DECORATION.match(_name(name)):
                    left_out[_name(name)] += _words(inside, *pieces[begin + 2 : number])
                # What stood on both sides of it does not become one word or number.
                if pieces[begin - 1][-1:].isalnum() and pieces[number + 1][:1].isalnum():
                    kept.append(" ")
        elif depth == 0:
            kept.append(piece)
    if depth:
        return wikitext
    unknown += left_out
    return "".join(kept)


def _name(name: object) -> str:
    name = " ".join(str(name).replace("_", " ").split()).lower().removeprefix("template:")
    return name.partition(":")[0] if name.startswith("#") else name  # {{#if:…}}, a function


def _words(*parts: str) -> int:
    """At least one: without an argument, too, a template stands for something ({{FRA}}: France)."""
    return max(1, sum(len(_LETTERS.findall(part)) for part in parts))


_LETTERS = re.compile(r"[^\W\d_]{2,}|\d[\d.,]*")


def _plain(code, unknown: Counter, before: str = "") -> str:
    """The text of parsed wikitext; `before` is what stands in front of it."""
    from mwparserfromhell.nodes import ExternalLink, Heading, HTMLEntity, Tag, Template, Text, Wikilink

    parts: list[str] = []
    for node in code.nodes:
        text = ""  # of arguments and comments
        if isinstance(node, Text):
            text = node.value
        elif isinstance(node, Wikilink):
            if not _SKIPPED_LINKS.match(str(node.title)):
                text = _plain(node.text if node.text is not None else node.title, unknown).removeprefix(":")
        elif isinstance(node, Heading):
            text = f"{'=' * node.level} {_plain(node.title, unknown).strip()} {'=' * node.level}"
        elif isinstance(node, ExternalLink):
            text = _plain(node.title, unknown) if node.title is not None else ""
        elif isinstance(node, HTMLEntity):
            text = node.normalize().replace("'", _APOSTROPHE)
        elif isinstance(node, Tag):
            text = _tag(node, before, unknown)
        elif isinstance(node, Template):
            text = _template(node, unknown)
            # "5" and a template for one half are not 51/2.
            text = f" {text}" if text[:1].isdigit() and before[-1:].isdigit() else text
        if text:
            parts.append(text)
            before = text
    return "".join(parts)


def _tag(node, before: str, unknown: Counter) -> str:
    tag = str(node.tag).strip().lower()
    if tag in ("br", "hr"):
        return "\n"
    if tag in ("li", "dt", "dd") and not str(node.contents or ""):  # *, # and : at the start of a line
        return "- " if tag == "li" else ""
    if tag == "nowiki" and not str(node.contents or ""):
        return _NOTHING  # between italics and an apostrophe
    if tag in _SKIPPED_TAGS or node.contents is None:
        return ""
    inside = _plain(node.contents, unknown, before)
    if (
        tag == "sup"
        and before[-1:].isalnum()
        and not re.fullmatch(r"(?:st|nd|rd|th|o|a|e|er|re|me|TM|SM)?", inside.strip())
    ):
        return f"^{inside.strip()}"  # 10 to the ninth is not 109
    if tag == "sub" and before[-1:].isdigit() and inside.strip()[:1].isdigit():
        return f"_{inside.strip()}"  # 1010 to the base of two is not 10102
    if tag == "li":
        return f"\n- {inside.strip()}"
    return f"\n{inside}\n" if tag in _BLOCK_TAGS else inside


def _template(node, unknown: Counter) -> str:
    inner: Counter = Counter()
    given, named = [], {}
    for argument in node.params:
        text = _plain(argument.value, inner)
        if argument.showkey and not str(argument.name).strip().isdecimal():
            named[str(argument.name).strip().lower()] = text.strip()
        else:
            given.append(text)
    name = _name(node.name)
    text = templates.shown(name, given, named)
    if text is None:
        unknown[name] += _words(*(str(argument.value) for argument in node.params))
        return ""
    unknown += inner
    return text.replace("'", _APOSTROPHE) if len(text) < 5 else text


def _without_link_sections(text: str) -> str:
    """Drop the sections of `_LINK_SECTIONS` with their sub-sections and sections left empty; headings become lines."""
    head, *rest = re.split(r"^(={1,6}) (.+) \1[ \t]*$", text, flags=re.M)
    sections, skipping = [], 7
    for marks, title, body in zip(rest[::3], rest[1::3], rest[2::3], strict=True):
        level = len(marks)
        if level <= skipping:
            name = title.strip().lower()
            links = name in _LINK_SECTIONS or (name in _PERHAPS_LINKS and not _SENTENCE.search(body))
            skipping = level if links else 7
        if skipping == 7:
            sections.append((level, title.strip(), body.strip()))
    kept: list[tuple[int, str, str]] = []
    for section in reversed(sections):  # from the end: an empty section stays if a sub-section of it stays
        if section[2] or (kept and kept[-1][0] > section[0]):
            kept.append(section)
    return "\n\n".join([head.strip(), *(f"{title}\n\n{body}" for _, title, body in reversed(kept))])
