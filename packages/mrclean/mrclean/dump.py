"""The pages of a MediaWiki XML dump, read as it comes."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from xml.etree import ElementTree


def wiki_pages(dump: Iterable[str]) -> Iterator[dict]:
    """The pages of a MediaWiki XML dump that comes in pieces: number, title, text, namespace, language, bytes_in.

    Only the page at hand is held in memory.

    Raises:
        xml.etree.ElementTree.ParseError: the dump is not XML, or ends too early.
    """
    parser = ElementTree.XMLPullParser(("start", "end"))
    root, space, language, depth = None, "", "", 0
    for piece in itertools.chain(dump, [None]):
        if piece is None:
            parser.close()
        else:
            parser.feed(piece)
        for event, element in parser.read_events():
            if root is None:
                root = element
                space = root.tag[: root.tag.find("}") + 1]  # the name space, where there is one
                language = root.get("{http://www.w3.org/XML/1998/namespace}lang", "")
            depth += 1 if event == "start" else -1
            if event == "end" and element.tag == f"{space}page":
                wikitext = element.findtext(f"{space}revision/{space}text") or ""
                yield {
                    "number": element.findtext(f"{space}id"),
                    "title": element.findtext(f"{space}title") or "",
                    "text": wikitext,
                    "namespace": int(number) if (number := element.findtext(f"{space}ns") or "0").isdecimal() else -1,
                    "language": language,
                    "bytes_in": len(wikitext.encode("utf-8")),
                }
            if event == "end" and depth == 1:
                root.clear()
