"""What there is to clean: the files below the inputs, in a fixed order, and in shards of a size fit for one worker."""

from __future__ import annotations

import hashlib
import os
import re
import stat
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ARCHIVES = (".zip", ".tar", ".tgz", ".tbz", ".tbz2", ".txz", ".tzst", ".7z", ".rar", ".jar", ".whl", ".xz", ".lzma")
PACKED = (".gz", ".bz2", ".zst")  # streams of one file each, which are read
MANY = (".jsonl", ".ndjson", ".parquet", ".xml")  # may hold many documents
SHARD_BYTES, SHARD_FILES, SHARDS = (1 << 20, 1 << 26), 2_000, 64


@dataclass(frozen=True)
class Entry:
    """One file, or something that should have been one."""

    id: str  # its path below the folder that all inputs have in common
    path: str
    source: str  # the name of the input folder
    size: int = 0
    problem: str = ""  # a reason of rules.QUARANTINE, when it cannot be read
    evidence: str = ""


@dataclass(frozen=True)
class Shard:
    """Some files that one worker cleans in one go; `name` follows from theirs."""

    name: str
    entries: tuple[Entry, ...]

    @property
    def size(self) -> int:
        return sum(entry.size for entry in self.entries)


def find(inputs: list[Path], kind: str = "text") -> tuple[list[Entry], Counter]:
    """(entries in the order of their ids, what was left aside on purpose and how often).

    Left aside are hidden names, links to other places of the input and, of code, what is not named as Python.

    The order in which `inputs` are given changes nothing, and what two of them hold is found once.

    Raises:
        FileNotFoundError: an input is not there.
    """
    roots = sorted({Path(path).resolve(strict=True) for path in inputs})
    common = Path(os.path.commonpath([root.parent for root in roots]))
    entries: dict[str, Entry] = {}
    aside: Counter = Counter()
    for root in roots:
        source = (root if root.is_dir() else root.parent).name
        for path, problem, evidence in _walk(root, roots, aside):
            # A name need not be text; its bytes that are none are spelled out.
            id = os.fsencode(path.relative_to(common)).decode("utf-8", "backslashreplace")
            if not problem and path.name.lower().removesuffix(_packed(path.name)).endswith(ARCHIVES):
                problem, evidence = "archive", path.name
            if kind == "code" and path != root and not problem and not _code(path.name):
                aside["files that are not *.py"] += 1
                continue
            try:
                size = path.lstat().st_size if not problem or problem == "archive" else 0
            except OSError as error:
                size, problem, evidence = 0, "unreadable", str(error.strerror)
            entries.setdefault(str(path), Entry(id, str(path), _text(source), size, problem, _text(evidence)))
    return sorted(entries.values(), key=lambda entry: (entry.id, entry.path)), aside


def _text(name: str) -> str:
    return os.fsencode(name).decode("utf-8", "backslashreplace")


def _code(name: str) -> bool:
    return many_documents(name) or name.lower().removesuffix(_packed(name)).endswith(".py")


def _packed(name: str) -> str:
    return next((ending for ending in PACKED if name.lower().endswith(ending)), "")


def _walk(root: Path, roots: list[Path], aside: Counter) -> Iterator[tuple[Path, str, str]]:
    """(path, problem, evidence) of everything below `root`; folders are gone through without recursion."""
    waiting = [root]
    while waiting:
        path = waiting.pop()
        try:
            mode = path.lstat().st_mode
            if path != root and stat.S_ISLNK(mode):
                target = path.resolve(strict=True)
                if any(target.is_relative_to(other) for other in roots):
                    aside["links to other places of the input"] += 1
                else:
                    yield path, "link_outside", "leads out of the input"
            elif stat.S_ISDIR(mode):
                for name in os.listdir(path):
                    if name.startswith("."):
                        aside["hidden names (they begin with a dot)"] += 1
                    else:
                        waiting.append(path / name)
            elif stat.S_ISREG(mode):
                yield path, "", ""
            else:
                yield path, "not_a_file", stat.filemode(mode)
        except (OSError, RuntimeError) as error:  # RuntimeError: links in a circle
            link = path.is_symlink()
            yield path, "link_outside" if link else "unreadable", "leads nowhere" if link else str(error.strerror)


def shards(entries: list[Entry]) -> list[Shard]:
    """`entries` in their order, cut into shards. A file that may hold many documents is a shard by itself.

    A shard has 1 MiB, or where that would be more than some 64 shards twice or four times as much, and so on up to
    64 MiB. Where a group of small files ends depends on their names as well, so a new file changes one shard and not
    all that come after it.
    """
    limit, most = SHARD_BYTES
    while limit < most and limit * SHARDS < sum(entry.size for entry in entries):
        limit *= 2
    groups: list[list[Entry]] = []
    group: list[Entry] = []
    for entry in entries:
        if many_documents(entry.path) and not entry.problem:
            groups += [group, [entry]]
            group = []
            continue
        group.append(entry)
        ends = hashlib.sha256(_bytes(entry.id)).digest()[:2] < b"\x00\x80"  # one name in 512
        if ends or len(group) >= SHARD_FILES or sum(e.size for e in group) >= limit:
            groups.append(group)
            group = []
    return [Shard(_name(group), tuple(group)) for group in [*groups, group] if group]


def many_documents(path: str) -> bool:
    """By its name, packed or not: JSON lines, parquet or a dump."""
    return path.lower().removesuffix(_packed(path)).endswith(MANY)


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")


def _name(group: list[Entry]) -> str:
    """The first file's name, made harmless, and a hash of all: no id can lead out of the output folder."""
    slug = re.sub(r"[^A-Za-z0-9_-]+", "-", group[0].id.rsplit("/", 1)[-1].split(".")[0])[:40].strip("-") or "shard"
    return f"{slug}-{hashlib.sha256(_bytes(chr(10).join(entry.id for entry in group))).hexdigest()[:12]}"
