"""What becomes of real files that nobody chose for mrclean: sets of them, a folder each.

FOLDER holds a folder KIND-NAME for each set, as text-manuals. Where that holds nothing but folders, each is a source of
its own, as the same pages in many languages; for these the share that is lost stands in a table too. A copy is no loss.
"""

from __future__ import annotations

import argparse
import re
from pathlib import Path

from helpers import journal
from mrclean import rules

from . import BENCHMARKS, temporary
from .clean_scale import cleaned

COPIES = ("exact_duplicate", "near_duplicate")


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog='make bench ARGS="clean_sets FOLDER"', description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help=f"a folder KIND-NAME for each set; KIND: {', '.join(rules.KINDS)}")
    folder = parser.parse_args(arguments).folder
    sets = {path.name: path for path in sorted(folder.glob("*-*")) if path.is_dir()}
    unknown = [name for name in sets if name.split("-")[0] not in rules.KINDS]
    if not sets or unknown:
        raise SystemExit(f"error: {(unknown or [folder])[0]}: sets are folders named KIND-NAME, as text-manuals")

    run = journal.start(BENCHMARKS["clean_sets"], config={"sets": list(sets)})
    run.predict("lost_most", 0.02, unit="share")
    arms, languages = [], {}
    for name, path in sets.items():
        kind, key = name.split("-")[0], _key(name.partition("-")[2])
        parts = sorted(path.iterdir())
        apart = len(parts) > 1 and all(part.is_dir() for part in parts)
        with temporary() as out:
            seconds, report, memory = cleaned(parts if apart else [path], Path(out) / "out", kind, 2)
        _log_set(run, key, report, memory)
        arms.append(key)
        run.note(f"{key}: input {report['hashes']['input'][:16]}, {seconds:.0f} s, {_told(report['dropped'])}.")
        for source, found in report["sources"].items() if apart else ():
            lost = sum(n for reason, n in found["dropped"].items() if reason not in COPIES)
            languages[f"{key}_{_key(source)}"] = lost / found["documents_in"]
        print(f"{key}: {report['documents_in']:,} in, {report['documents_kept']:,} kept, {seconds:.0f} s", flush=True)
    columns = {"in": "documents_{}", "size": "size_{}", "kept": "kept_{}", "copies": "copies_{}",
               "short": "short_{}", "aside": "aside_{}", "other": "other_{}", "core": "core_{}",
               "largest memory": "memory_{}"}  # fmt: skip
    run.table("The sets", arms, columns)
    run.log(**{f"lost_{name}": share for name, share in languages.items()}, unit="share", better="lower")
    run.table("Lost by language, copies aside", list(languages), {"lost": "lost_{}"})
    worst = max(languages, key=languages.get)
    run.log(lost_most=languages[worst], unit="share", better="lower")
    run.finish(
        verdict="Of {documents:,.0f} documents in {sets} sets {kept:,.0f} are kept; the account of each set balances. "
        "The most is lost in {worst}: {lost_most:.1%}.",
        decision="Whoever changes a rule of mrclean runs this on sets of their own, before and after.",
        documents=sum(run.record["metrics"][f"documents_{arm}"]["final"] for arm in arms),
        kept=sum(run.record["metrics"][f"kept_{arm}"]["final"] for arm in arms),
        sets=len(sets),
        worst=worst.replace("_", " "),
    )
    return 0


def _log_set(run, key: str, report: dict, memory: float) -> None:
    dropped = dict(report["dropped"])
    copies = sum(dropped.pop(reason, 0) for reason in COPIES)
    short, aside = dropped.pop("too_short", 0), report["quarantined"]
    other = sum(n for reason, n in dropped.items() if reason not in rules.QUARANTINE)
    steps = sum(line["seconds"] for of in report["sources"].values() for line in of["steps"])
    run.log(**{f"documents_{key}": report["documents_in"], f"kept_{key}": report["documents_kept"],
               f"copies_{key}": copies, f"short_{key}": short, f"aside_{key}": aside, f"other_{key}": other},
            unit="documents")  # fmt: skip
    run.log(**{f"size_{key}": report["bytes_in"] / 1e6}, unit="MB")
    run.log(**{f"core_{key}": steps + report["seconds_around"]}, unit="s", kind="timing")
    run.log(**{f"memory_{key}": memory}, unit="MB", kind="timing")


def _told(dropped: dict[str, int]) -> str:
    order = sorted(dropped.items(), key=lambda of: -of[1])
    return ", ".join(f"{n:,} {reason.replace('_', ' ')}" for reason, n in order) or "all kept"


def _key(name: str) -> str:
    return re.sub(r"\W", "_", name)
