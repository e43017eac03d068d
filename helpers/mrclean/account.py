"""The account: per source and step what came in, what was kept, changed and dropped, and what it cost.

Nothing is taken on trust: a line is filled from what a step was given and what it gave back, and `check_account`
asserts that every document, byte and character is accounted for.
"""

from __future__ import annotations

import hashlib
import itertools
import json
from collections import Counter
from dataclasses import dataclass, field

from .document import Document, Drop, Keep
from .rules import CUTS, RULE_SETS, RULES


@dataclass
class Line:
    """One step on the documents of one source; sizes in bytes (UTF-8) and characters, of the text before and after."""

    step: str
    documents_in: int = 0
    documents_kept: int = 0
    documents_changed: int = 0
    dropped: Counter = field(default_factory=Counter)  # reason -> documents
    bytes_in: int = 0
    bytes_kept: int = 0
    bytes_cut: int = 0  # from kept documents; negative where a step made them longer
    bytes_dropped: Counter = field(default_factory=Counter)  # reason -> bytes
    characters_in: int = 0
    characters_kept: int = 0
    characters_cut: int = 0
    characters_dropped: int = 0
    seconds: float = 0.0

    def add(self, before: Document, answer: Keep | Drop, seconds: float = 0.0) -> None:
        bytes_before, characters_before = size(before), len(before.text)
        self.documents_in += 1
        self.bytes_in += bytes_before
        self.characters_in += characters_before
        self.seconds += seconds
        if isinstance(answer, Drop):
            self.dropped[answer.reason] += 1
            self.bytes_dropped[answer.reason] += bytes_before
            self.characters_dropped += characters_before
            return
        after = answer.document
        same = after.text is before.text and bool(after.codec) == bool(before.codec)
        bytes_after = bytes_before if same else size(after)
        self.documents_kept += 1
        self.documents_changed += bool(before.codec) and after.text != before.text  # decoding is not an edit
        self.bytes_kept += bytes_after
        self.bytes_cut += bytes_before - bytes_after
        self.characters_kept += len(after.text)
        self.characters_cut += characters_before - len(after.text)

    def as_dict(self) -> dict:
        return {**vars(self), "dropped": dict(self.dropped), "bytes_dropped": dict(self.bytes_dropped)}


def size(document: Document) -> int:
    """Bytes of the text in UTF-8; before it is decoded, of the file."""
    if not document.codec:
        return len(document.raw)
    return len(document.text) if document.text.isascii() else len(document.text.encode("utf-8", "surrogatepass"))


def summary(lines: list[Line], arrived: list[Document], kept: list[Document], edited: set[str]) -> dict:
    """The account of one source and kind: sums over its steps, and the steps. Timings are in `seconds`."""
    dropped, bytes_dropped = Counter(), Counter()
    for line in lines:
        dropped += line.dropped
        bytes_dropped += line.bytes_dropped
    seconds = sum(line.seconds for line in lines)
    account = {
        "documents_in": len(arrived),
        "documents_kept": len(kept),
        "documents_changed": sum(d.id in edited for d in kept),
        "dropped": dict(sorted(dropped.items())),
        "bytes_in": sum(map(size, arrived)),
        "bytes_kept": sum(map(size, kept)),
        "bytes_cut": sum(line.bytes_cut for line in lines),
        "bytes_dropped": dict(sorted(bytes_dropped.items())),
        # Bytes that no codec fits are no characters; decoding adds the others.
        "characters_in": sum(len(d.text) for d in arrived),
        "characters_kept": sum(len(d.text) for d in kept),
        "characters_cut": sum(line.characters_cut for line in lines),
        "characters_dropped": sum(line.characters_dropped for line in lines),
        "codecs": dict(sorted(Counter(d.codec for d in kept).items())),
        "redacted": dict(sorted(sum((d.redacted for d in kept), Counter()).items())),
        "seconds": seconds,
        "megabytes_per_second": sum(map(size, arrived)) / 1e6 / max(seconds, 1e-9),
        "steps": [line.as_dict() for line in lines],
    }
    check_account(account)
    return account


def check_account(account: dict) -> None:
    """Raises RuntimeError unless in == kept + cut + dropped, step by step and in all (documents cannot be cut).

    Each step must also have been given just what the step before it kept.
    """
    whole = {**account, "step": "all steps"}
    for line in [*account["steps"], whole]:
        lost = line["documents_in"] - line["documents_kept"] - sum(line["dropped"].values())
        bytes_lost = line["bytes_in"] - line["bytes_kept"] - line["bytes_cut"] - sum(line["bytes_dropped"].values())
        characters_lost = line["characters_in"] - sum(line[f"characters_{what}"] for what in ("kept", "cut", "dropped"))
        strange = set(line["bytes_dropped"]) - set(line["dropped"])
        if lost or bytes_lost or characters_lost or strange:
            raise RuntimeError(
                f"the account does not balance: {lost} documents, {bytes_lost} bytes and {characters_lost} characters "
                f"lost in {line['step']}"
                + (f"; bytes dropped for {', '.join(strange)}, but no document" if strange else "")
            )
    quantities = ("documents", "bytes", "characters")
    first = {"step": "arrival", **{f"{what}_kept": account[f"{what}_in"] for what in quantities}}
    chain = [first, *account["steps"], {f"{what}_in": account[f"{what}_kept"] for what in quantities}]
    for line, following in itertools.pairwise(chain):
        for what in quantities:
            if line[f"{what}_kept"] != following[f"{what}_in"]:
                lost = line[f"{what}_kept"] - following[f"{what}_in"]
                raise RuntimeError(f"the account does not balance: {lost} {what} lost after step {line['step']}")


def documents_hash(documents: list[Document]) -> str:
    """sha256 over id and content (text once decoded, else bytes) of the documents in the order of their ids."""
    total = hashlib.sha256()
    for d in sorted(documents, key=lambda d: d.id):
        content = d.text.encode("utf-8", "surrogatepass") if d.codec else d.raw
        total.update(f"{d.id}\n{len(content)}\n".encode())
        total.update(content)
    return total.hexdigest()


def config_hash(steps: dict) -> str:
    """sha256 over every threshold, every cut and the order of the steps."""
    facts = {
        "rules": {name: rule.value for name, rule in RULES.items()},
        "rule_sets": {
            name: [(limit.score, str(limit.low), str(limit.high)) for limit in rule_set.limits]
            for name, rule_set in RULE_SETS.items()
        },
        "cuts": CUTS,
        "steps": {kind: [step.__name__ for step in of_kind] for kind, of_kind in steps.items()},
    }
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()
