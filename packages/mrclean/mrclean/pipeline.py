"""Raw documents -> steps -> duplicates -> clean documents, with every document and every byte accounted for."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np

from . import account, books, code, dedup, private, scores, steps, wikitext
from .contamination import EvaluationTexts, contaminated
from .document import Document, Drop, Keep, Step
from .private import excerpt
from .rules import KINDS, REASONS

_MODULES = {"books": books, "code": code, "private": private, "steps": steps, "wikitext": wikitext}
# The functions that rules.KINDS names, one list per kind. Then, for all kinds: scores and what is cut by them,
# evaluation texts, exact duplicates, near duplicates.
STEPS: dict[str, tuple[Step, ...]] = {
    name: tuple(getattr(_MODULES[module], function) for module, _, function in (s.partition(".") for s in kind.steps))
    for name, kind in KINDS.items()
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
    evidence: str  # at most 200 characters without private data; of a duplicate, what it is like
    bytes: int  # of the document as it was read


@dataclass(frozen=True)
class Edit:
    """The first line a step changed in one document."""

    id: str
    kind: str
    step: str
    before: str
    after: str


@dataclass
class Result:
    """Clean documents, everything that was dropped, and the account.

    `cluster` maps the id of a kept document to the id of the first document it must stay together with.
    `closest` maps each kind to the pairs of documents that share word runs, the largest containment first.
    `similar` maps each kind to the near duplicates that MinHash-LSH found: {(id, id): Jaccard}.
    `scores` has those of every distinct document that got through the steps, whether it was dropped later or not.
    """

    kept: list[Document]
    dropped: list[Dropped]
    edited: set[str] = field(default_factory=set)  # ids of documents whose text a step changed
    edits: list[Edit] = field(default_factory=list)
    cluster: dict[str, str] = field(default_factory=dict)
    closest: dict[str, list[dedup.Pair]] = field(default_factory=dict)
    similar: dict[str, dict[tuple[str, str], float]] = field(default_factory=dict)
    scores: dict[str, dict[str, float]] = field(default_factory=dict)
    account: dict[tuple[str, str], dict] = field(default_factory=dict)  # (source, kind) -> account.summary
    hashes: dict[str, str] = field(default_factory=dict)  # sha256 of input, config and output
    lines: dict[tuple[str, str], dict[str, account.Line]] = field(default_factory=dict)  # being filled

    def line(self, document: Document, step: str) -> account.Line:
        of_source = self.lines.setdefault((document.source, document.kind), {})
        return of_source.setdefault(step, account.Line(step))


def clean(documents: Iterable[Document], evaluation: EvaluationTexts | None = None) -> Result:
    """Clean `documents`; the same result whatever order they come in. With `evaluation`, its texts are looked for.

    Raises:
        ValueError: two documents have the same id, or a document is of no known kind.
        RuntimeError: the account does not balance (a document or a byte was lost; that is a bug).
    """
    documents = sorted(documents, key=lambda d: d.id)
    ids = Counter(d.id for d in documents)
    if len(ids) < len(documents):
        raise ValueError(f"document ids must be unique; given twice: {[i for i, n in ids.items() if n > 1][:3]}")
    if unknown := sorted({d.kind for d in documents} - set(STEPS)):
        raise ValueError(f"documents of unknown kind {', '.join(unknown)}; there are {', '.join(STEPS)}")
    last = (contaminated(evaluation),) if evaluation else ()
    result = Result(kept=[], dropped=[])
    distinct: set[str] = set()  # fingerprints of texts that have scores
    first: dict[str, Document] = {}  # fingerprint -> the first document that has it, of whatever kind
    for kind in sorted({d.kind for d in documents}, key=list(STEPS).index):
        arrived = [d for d in documents if d.kind == kind]
        scored = _through(arrived, (*STEPS[kind], scores.score), result)
        for document in scored:
            if (text := _text_hash(document)) not in distinct:
                distinct.add(text)
                result.scores[document.id] = document.scores
        # Before duplicates: else a clean text could fall as the twin of one that is dropped a step later.
        unique = _without_exact_duplicates(_through(scored, (scores.cut, *last), result), first, result)
        survivors = _without_near_duplicates(kind, unique, result)
        result.kept += survivors
        for source in sorted({d.source for d in arrived}):
            arrived_here, kept = account.Sums(), account.Sums()
            for sums, part in ((arrived_here, arrived), (kept, survivors)):
                for document in part:
                    if document.source == source:
                        sums.add(document, document.id in result.edited)
            lines = [line.as_dict() for line in result.lines[source, kind].values()]
            result.account[source, kind] = account.summary(lines, arrived_here.as_dict(), kept.as_dict())
    if sorted([d.id for d in result.kept] + [d.id for d in result.dropped]) != [d.id for d in documents]:
        raise RuntimeError("the account does not balance: a document is neither kept nor dropped, or both")
    kept = {d.id for d in result.kept}
    result.edits = examples([edit for edit in result.edits if edit.id in kept])
    result.hashes = {
        "input": account.documents_hash(documents),
        "config": account.config_hash(STEPS),
        "output": account.documents_hash(result.kept),
    }
    return result


def _through(documents: list[Document], steps: tuple[Step, ...], result: Result) -> list[Document]:
    kept = (through_steps(document, steps, result) for document in documents)
    return [document for document in kept if document is not None]


def through_steps(document: Document, steps: tuple[Step, ...], result: Result, guard: bool = False) -> Document | None:
    """What is left of `document` after `steps`, or None; everything that happens is written into `result`.

    With `guard`, a step that raises drops the document as "step_failed", and the next document has its turn.
    """
    for step in steps:
        began = time.thread_time()  # of a core: what others do on this machine is not counted
        try:
            answer = step(document)
        except Exception as error:
            if not guard or isinstance(error, MemoryError):  # which is no fault of the document
                raise
            answer = Drop("step_failed", f"{type(error).__name__}: {error}")
        seconds = time.thread_time() - began
        result.line(document, step.__name__).add(document, answer, seconds)
        if isinstance(answer, Drop):
            drop(document, step.__name__, answer, result)
            return None
        before, after = ((d.id, d.kind, d.source) for d in (document, answer.document))
        if before != after:
            raise RuntimeError(f"step {step.__name__} was given {before} and gave back {after}")
        # Decoding turns bytes into text; only what happens to the text afterwards is an edit.
        if document.codec and answer.document.text != document.text:
            # More than are shown, because some of these documents may be dropped later.
            if sum(e.step == step.__name__ and e.kind == document.kind for e in result.edits) < 20 * EXAMPLES:
                result.edits.append(_first_change(document, answer.document, step.__name__))
            result.edited.add(document.id)
        document = answer.document
    return document


def drop(document: Document, step: str, answer: Drop, result: Result) -> None:
    """Enter into `result` that `step` dropped `document`."""
    if answer.reason not in REASONS:
        raise RuntimeError(
            f"step {step} dropped {document.id} for {answer.reason!r}, which rules.REASONS does not list"
        )
    facts = document.id, document.kind, document.source, excerpt(document.title)
    # What a duplicate is like is the id of another document, which must stay as it is.
    evidence = answer.evidence if answer.reason.endswith("_duplicate") else excerpt(answer.evidence)
    result.dropped.append(Dropped(*facts, step, answer.reason, evidence, document.bytes_in))


def _first_change(before: Document, after: Document, step: str) -> Edit:
    old, new = before.text.split("\n"), after.text.split("\n")
    shorter = min(len(old), len(new))  # where all common lines agree, the first that only one of them has
    at = next((i for i, (a, b) in enumerate(zip(old, new, strict=False)) if a != b), shorter)
    old, new = (lines if at < len(lines) else [*lines, ""] for lines in (old, new))
    # Around the first character that differs, so that a change late in a long line is still seen.
    column = next(
        (i for i, (a, b) in enumerate(zip(old[at], new[at], strict=False)) if a != b), min(len(old[at]), len(new[at]))
    )
    shown = []
    for text, lines in ((before.text, old), (after.text, new)):
        begin = sum(map(len, lines[:at])) + at
        shown.append(excerpt(text, 90, begin + max(0, column - 30), begin + len(lines[at])))
    return Edit(before.id, before.kind, step, *shown)


def examples(edits: list[Edit]) -> list[Edit]:
    """The first few of each kind and step."""
    found: dict[tuple[str, str], list[Edit]] = {}
    for edit in edits:
        found.setdefault((edit.kind, edit.step), []).append(edit)
    return [edit for of_step in found.values() for edit in of_step[:EXAMPLES]]


def _text_hash(document: Document) -> str:
    return dedup.text_hash(document.text, document.kind == "code")


def _without_exact_duplicates(documents: list[Document], first: dict, result: Result) -> list[Document]:
    kept = []
    for document in documents:
        began = time.thread_time()
        twin = first.setdefault(_text_hash(document), document)
        answer = Keep(document) if twin is document else Drop("exact_duplicate", f"the same text as {twin.id}")
        result.line(document, "exact_duplicates").add(document, answer, time.thread_time() - began)
        if isinstance(answer, Drop):
            drop(document, "exact_duplicates", answer, result)
        else:
            kept.append(document)
    return kept


def _without_near_duplicates(kind: str, documents: list[Document], result: Result) -> list[Document]:
    began = time.thread_time()
    sets = [dedup.shingles(d.text) for d in documents]
    limits, same_side = KINDS[kind], KINDS[kind].same_side.value
    bands, rows = int(limits.bands.value), int(limits.rows.value)
    pairs = dedup.similar_pairs(sets, limits.near_duplicate.value, bands, rows)
    twins = dedup.near_duplicates(pairs, [len(s) for s in sets])
    result.similar[kind] = {(documents[i].id, documents[j].id): similarity for (i, j), similarity in pairs.items()}
    contained = dedup.containment(sets)
    left = [k for k in range(len(documents)) if k not in twins]
    linked = contained[np.ix_(left, left)] >= same_side
    for k, root in zip(left, dedup.clusters(linked), strict=True):
        result.cluster[documents[k].id] = documents[left[root]].id
    sizes = np.array([len(s) for s in sets])
    result.closest[kind] = _closest(contained, sizes, documents, same_side)
    # The time belongs to all documents together; each source is given its share by size.
    total = sum(map(account.size, documents))
    per_byte = (time.thread_time() - began) / max(1, total)
    for k, document in enumerate(documents):
        answer = Keep(document)
        if k in twins:
            other = documents[twins[k]].id
            similarity = pairs[min(k, twins[k]), max(k, twins[k])]
            answer = Drop("near_duplicate", f"Jaccard similarity {similarity:.2f} with {other}")
            drop(document, "near_duplicates", answer, result)
        result.line(document, "near_duplicates").add(document, answer, per_byte * account.size(document))
    return [documents[k] for k in left]


def _closest(contained: np.ndarray, sizes: np.ndarray, documents: list[Document], limit: float) -> list[dedup.Pair]:
    """Every pair from `limit` on, and at least the `CLOSEST` most similar: a large corpus has millions of pairs."""
    i, j = np.triu_indices(len(documents), k=1)
    shares = contained[i, j]
    best = np.argsort(-shares, kind="stable")[: max(CLOSEST, int((shares >= limit).sum()))]
    pairs = []
    for a, b, share in zip(i[best], j[best], shares[best], strict=True):
        if share > 0:
            shared = share * min(sizes[a], sizes[b])
            similarity = shared / (sizes[a] + sizes[b] - shared)
            pairs.append(dedup.Pair(float(share), float(similarity), documents[a].id, documents[b].id))
    return pairs
