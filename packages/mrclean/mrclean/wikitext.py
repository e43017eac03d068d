"""Steps for Wikipedia pages, written in wikitext (MediaWiki's mark-up)."""

from __future__ import annotations

import re
from dataclasses import replace

from .document import Document, Drop, Keep
from .rules import value

_REDIRECT = re.compile(r"\s*#\s*redirect\b", re.I)
# The template that marks the page itself. "{{other uses|Ada (disambiguation)}}" only points to such a page.
_DISAMBIGUATION = re.compile(
    r"\{\{\s*(?:disambig(?:uation)?|dab|hndis|human name disambiguation|geodis|airport disambiguation)\s*[|}]", re.I
)
# Sections that hold links and notes, not sentences.
_LINK_SECTIONS = {
    *("references", "notes", "footnotes", "citations", "notes and references", "sources", "works cited"),
    *("bibliography", "external links", "see also", "further reading", "gallery"),
}
_SKIPPED_TAGS = {
    *("ref", "references", "gallery", "imagemap", "table", "timeline"),
    *("math", "score", "source", "syntaxhighlight"),
}
# Templates that stand for words inside a sentence, and which of their arguments the reader sees.
_SHOWN_ARGUMENTS = {"convert": ("1", "2"), "cvt": ("1", "2"), "lang": ("2",), "nowrap": ("1",), "nihongo": ("1",)}
_COMMENT = re.compile(r"<!--(?:(?!<!--).)*?-->", re.S)
# Written "<ref name=x />" or "<ref>…</ref>"; one never holds another, so the shortest span is the right one.
_REFERENCE = re.compile(r"<ref(?:\s[^<>]*)?/>|<ref(?:\s[^<>]*)?>(?:(?!<ref[\s>]).)*?</ref\s*>", re.S | re.I)
_PLAIN_LINK = re.compile(r"\[\[([^\[\]{}|<>\n]+)(?:\|([^\[\]{}|<>\n]*))?\]\]")
_BRACE_PAIR = re.compile(r"(\{\{|\}\})")
_TEMPLATE_NAME = re.compile(r"[^{}<>\[\]\n|#]+")  # anything else, and triple braces, is for the parser to judge
_HEADING = re.compile(r"^=.*$", re.M)
_LINK_HEADING = re.compile(r"==([^=\n]+)==[ \t]*")
_LIST_MARKS = re.compile(r"^([*#:;]{20})[*#:;]+", re.M)  # each is a node of its own; the tree of fishes goes 14 deep
_LITERAL = re.compile(r"<(?:nowiki|pre|code|source|syntaxhighlight)\b|\{\{\{", re.I)
# Files and categories, and links to the same page in another language ("fr:Paris"); "Re:Zero" is an article. With a
# colon in front ("[[:Category:Cities]]") a link is meant to be seen.
_SKIPPED_LINKS = re.compile(r"\s*(?:(?i:file|image|category|media)\s*:|[a-z]{2,3}(?:-[a-z]+)*:\S)")


def other_language(document: Document) -> Keep | Drop:
    if document.language not in ("en", ""):  # a dump may say nothing; then the language model decides
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
        return Keep(replace(document, text=plain_text(document.text)))
    except RecursionError:
        return Drop("too_deep", document.text[:200])


def plain_text(wikitext: str) -> str:
    """The sentences of a page, headings and list items on lines of their own."""
    import mwparserfromhell

    wikitext = _LIST_MARKS.sub(r"\1", _COMMENT.sub("", wikitext))
    if not _LITERAL.search(wikitext):
        # References are a third of an article, links the most frequent mark. The parser, which takes most of the time,
        # need not see what is plain to see; what is left leads to the same text (tests/test_mrclean.py).
        wikitext = _without_templates(_PLAIN_LINK.sub(_link_text, _REFERENCE.sub("", wikitext)))
        wikitext = _without_link_lists(wikitext)
    text = _plain(mwparserfromhell.parse(wikitext, skip_style_tags=True))
    text = re.sub(r"'{2,5}", "", text)  # bold and italics, left as they are by skip_style_tags
    text = _without_link_sections(text)
    text = re.sub(r"[ \t]+", " ", text)
    text = re.sub(r" ?\( ?[;,: ]*\)", "", text)  # brackets left empty by a template
    text = re.sub(r" ([,.;:)])", r"\1", text).replace("( ", "(")
    text = re.sub(r" *\n *", "\n", text)
    return re.sub(r"\n{3,}", "\n\n", text).strip() + "\n"


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


def _without_templates(wikitext: str) -> str:
    """Without the outermost templates that show nothing, as long as all braces are in pairs; else unchanged."""
    kept, depth, begin = [], 0, 0
    pieces = _BRACE_PAIR.split(wikitext)
    for number, piece in enumerate(pieces):
        if piece == "{{":
            begin = number if depth == 0 else begin
            depth += 1
        elif piece == "}}":
            depth -= 1
            if depth < 0:
                return wikitext
            name = pieces[begin + 1].partition("|")[0].strip()
            if depth == 0 and (name.lower() in _SHOWN_ARGUMENTS or not _TEMPLATE_NAME.fullmatch(name)):
                kept += pieces[begin : number + 1]
        elif depth == 0:
            kept.append(piece)
    return wikitext if depth else "".join(kept)


def _plain(code) -> str:
    from mwparserfromhell.nodes import ExternalLink, Heading, HTMLEntity, Tag, Template, Text, Wikilink

    parts = []
    for node in code.nodes:
        if isinstance(node, Text):
            parts.append(node.value)
        elif isinstance(node, Wikilink):
            if not _SKIPPED_LINKS.match(str(node.title)):
                parts.append(_plain(node.text if node.text is not None else node.title).removeprefix(":"))
        elif isinstance(node, Heading):
            parts.append(f"{'=' * node.level} {_plain(node.title).strip()} {'=' * node.level}")
        elif isinstance(node, ExternalLink):
            parts.append(_plain(node.title) if node.title is not None else "")
        elif isinstance(node, HTMLEntity):
            parts.append(node.normalize())
        elif isinstance(node, Tag):
            tag = str(node.tag).strip().lower()
            if tag in ("br", "hr"):
                parts.append("\n")
            elif tag in ("li", "dt", "dd"):  # *, # and : at the start of a line
                parts.append("- " if tag == "li" else "")
            elif tag not in _SKIPPED_TAGS and node.contents is not None:
                parts.append(_plain(node.contents))
        elif isinstance(node, Template):
            shown = _SHOWN_ARGUMENTS.get(str(node.name).strip().lower(), ())
            values = [_plain(node.get(name).value) for name in shown if node.has(name)]
            parts.append(" ".join(v.strip() for v in values))
        # other templates, arguments and comments are not text
    return "".join(parts)


def _without_link_sections(text: str) -> str:
    """Drop the sections of `_LINK_SECTIONS` with their sub-sections and sections left empty; headings become lines."""
    head, *rest = re.split(r"^(={1,6}) (.+) \1[ \t]*$", text, flags=re.M)
    sections, skipping = [], 7
    for marks, title, body in zip(rest[::3], rest[1::3], rest[2::3], strict=True):
        level = len(marks)
        if level <= skipping:
            skipping = level if title.strip().lower() in _LINK_SECTIONS else 7
        if skipping == 7:
            sections.append((level, title.strip(), body.strip()))
    kept: list[tuple[int, str, str]] = []
    for section in reversed(sections):  # from the end: an empty section stays if a sub-section of it stays
        if section[2] or (kept and kept[-1][0] > section[0]):
            kept.append(section)
    return "\n\n".join([head.strip(), *(f"{title}\n\n{body}" for _, title, body in reversed(kept))])
