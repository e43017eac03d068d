"""The account: per source and step what came in, what was kept, changed and dropped, and what it cost.

Nothing is taken on trust: a line is filled from what a step was given and what it gave back, and `check_account`
asserts that every document and byte is accounted for.
"""

from __future__ import annotations

import hashlib
import itertools
import json
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from .document import Document, Drop, Keep
from .rules import KINDS, RULE_SETS, RULES


@dataclass
class Line:
    """One step on the documents of one source; sizes in bytes (UTF-8), of the text before and after."""

    step: str
    documents_in: int = 0
    documents_kept: int = 0
    documents_changed: int = 0
    dropped: Counter = field(default_factory=Counter)  # reason -> documents
    bytes_in: int = 0
    bytes_kept: int = 0
    bytes_cut: int = 0  # from kept documents; negative where a step made them longer
    bytes_dropped: Counter = field(default_factory=Counter)  # reason -> bytes
    seconds: float = 0.0

    def add(self, before: Document, answer: Keep | Drop, seconds: float = 0.0) -> None:
        bytes_before = size(before)
        self.documents_in += 1
        self.bytes_in += bytes_before
        self.seconds += seconds
        if isinstance(answer, Drop):
            self.dropped[answer.reason] += 1
            self.bytes_dropped[answer.reason] += bytes_before
            return
        after = answer.document
        same = after.text is before.text and bool(after.codec) == bool(before.codec)
        bytes_after = bytes_before if same else size(after)
        self.documents_kept += 1
        self.documents_changed += bool(before.codec) and after.text != before.text  # decoding is not an edit
        self.bytes_kept += bytes_after
        self.bytes_cut += bytes_before - bytes_after

    def refuse(self, reason: str, size: int) -> None:
        """A file or row of `size` bytes that did not become a document."""
        self.documents_in += 1
        self.bytes_in += size
        self.dropped[reason] += 1
        self.bytes_dropped[reason] += size

    def as_dict(self) -> dict:
        return {**vars(self), "dropped": dict(self.dropped), "bytes_dropped": dict(self.bytes_dropped)}


def size(document: Document) -> int:
    """Bytes of the text in UTF-8; before it is decoded, of the file."""
    if not document.codec:
        return len(document.raw)
    return len(document.text) if document.text.isascii() else len(document.text.encode("utf-8", "surrogatepass"))


@dataclass
class Sums:
    """What arrives at the first step, or is there after the last: counted without the steps, to hold them against."""

    documents: int = 0
    changed: int = 0
    bytes: int = 0
    codecs: Counter = field(default_factory=Counter)
    redacted: Counter = field(default_factory=Counter)
    replaced: int = 0
    left_out: Counter = field(default_factory=Counter)

    def add(self, document: Document, changed: bool = False) -> None:
        self.documents += 1
        self.changed += changed
        self.bytes += size(document)
        self.codecs[document.codec] += 1
        self.redacted += document.redacted
        self.replaced += document.replaced
        self.left_out += document.left_out

    def as_dict(self) -> dict:
        return {
            **vars(self),
            "codecs": dict(sorted(self.codecs.items())),
            "redacted": dict(sorted(self.redacted.items())),
            "left_out": dict(sorted(self.left_out.items())),
        }


def summary(lines: list[dict], arrived: dict, kept: dict) -> dict:
    """The account of one source and kind: sums over its steps, and the steps. Timings are in `seconds`.

    `lines` are those of `Line.as_dict`, in the order of the steps; `arrived` and `kept` those of `Sums.as_dict`.
    """

    def total(name: str):
        parts = [line[name] for line in lines]
        return dict(sorted(sum(map(Counter, parts), Counter()).items())) if "dropped" in name else sum(parts)

    seconds = total("seconds")
    account = {
        "documents_in": arrived["documents"],
        "documents_kept": kept["documents"],
        "documents_changed": kept["changed"],
        "dropped": total("dropped"),
        "bytes_in": arrived["bytes"],
        "bytes_kept": kept["bytes"],
        "bytes_cut": total("bytes_cut"),
        "bytes_dropped": total("bytes_dropped"),
        "codecs": kept["codecs"],
        "redacted": kept["redacted"],
        "replaced": kept["replaced"],
        "left_out": kept["left_out"],
        "seconds": seconds,
        "megabytes_per_second": arrived["bytes"] / 1e6 / max(seconds, 1e-9),
        "steps": lines,
    }
    check_account(account)
    return account


def merged(parts: Iterable[dict]) -> dict:
    """Accounts of parts of the input as one: numbers add up, tables are merged, lists of lines go by their step."""
    total: dict = {}
    for part in parts:
        for name, value in part.items():
            if isinstance(value, dict):
                total[name] = merged((total.get(name, {}), value))
            elif isinstance(value, list):
                by_step = {line["step"]: line for line in total.get(name, [])}
                for line in value:
                    by_step[line["step"]] = merged((by_step.get(line["step"], {}), line))
                total[name] = list(by_step.values())
            else:
                total[name] = value if isinstance(value, str) else total.get(name, 0) + value
    return total


def check_account(account: dict) -> None:
    """Raises RuntimeError unless in == kept + cut + dropped, step by step and in all (documents cannot be cut).

    Each step must also have been given just what the step before it kept.
    """
    whole = {**account, "step": "all steps"}
    for line in [*account["steps"], whole]:
        lost = line["documents_in"] - line["documents_kept"] - sum(line["dropped"].values())
        bytes_lost = line["bytes_in"] - line["bytes_kept"] - line["bytes_cut"] - sum(line["bytes_dropped"].values())
        strange = set(line["bytes_dropped"]) - set(line["dropped"])
        if lost or bytes_lost or strange:
            raise RuntimeError(
                f"the account does not balance: {lost} documents and {bytes_lost} bytes lost in {line['step']}"
                + (f"; bytes dropped for {', '.join(strange)}, but no document" if strange else "")
            )
    quantities = ("documents", "bytes")
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
        "cuts": {name: kind.cuts for name, kind in KINDS.items()},
        "steps": {kind: [step.__name__ for step in of_kind] for kind, of_kind in steps.items()},
    }
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()
