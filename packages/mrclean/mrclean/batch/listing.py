"""What there is to clean: the files below the inputs, in a fixed order, and in shards of a size fit for one worker."""

from __future__ import annotations

import errno
import hashlib
import os
import re
import stat
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ARCHIVES = (".zip", ".tar", ".tgz", ".tbz", ".tbz2", ".txz", ".tzst", ".7z", ".rar", ".jar", ".whl", ".xz", ".lzma")
PACKED = (".gz", ".bz2", ".zst")  # streams of one file each, which are read
MANY = (".jsonl", ".ndjson", ".parquet", ".xml")  # may hold many documents
SHARD_BYTES, SHARD_FILES, SHARDS = (1 << 20, 1 << 26), 1_000, 64


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
    roots = sorted({_absolute(path) for path in inputs})
    for root in roots:
        if not root.exists():
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(root))
    common = Path(os.path.commonpath([root.parent for root in roots]))
    entries: dict[str, Entry] = {}  # by the place where a file really lies
    links: list[tuple[Entry, str]] = []
    aside: dict[str, set[Path]] = defaultdict(set)
    for root in roots:
        source = (root if root.is_dir() else root.parent).name
        for path, size, problem, evidence in _walk(root, aside):
            if not problem and path.name.lower().removesuffix(_packed(path.name)).endswith(ARCHIVES):
                problem, evidence = "archive", path.name
            if kind == "code" and path != root and not problem and not _code(path.name):
                aside["files that are not *.py"].add(path)
                continue
            entry = Entry(_text(path.relative_to(common)), str(path), _text(source), size, problem, _text(evidence))
            if problem == "link_outside":
                links.append((entry, os.path.realpath(path)))
            else:
                entries.setdefault(os.path.realpath(path), entry)
    # A link to what is read anyway need not be followed. All others are refused: nobody said that they belong here.
    places = {*entries, *(str(parent) for place in entries for parent in Path(place).parents)}
    inside = tuple(os.path.realpath(root) + os.sep for root in roots if root.is_dir())
    for entry, target in links:
        if target in places and (target + os.sep).startswith(inside):
            aside["links to other places of the input"].add(Path(entry.path))
        else:
            entries[entry.path] = entry
    counted = Counter({what: len(found) for what, found in aside.items()})
    return sorted(entries.values(), key=lambda entry: (entry.id, entry.path)), counted


def _absolute(path: Path) -> Path:
    """The folder as the system finds it, links and ".." followed, but the name as given: its ending says what it is."""
    path = Path(path)
    if path.name in ("", ".."):
        return Path(os.path.realpath(path))
    return Path(os.path.realpath(path.parent)) / path.name


def _text(name: str | Path) -> str:
    """A name as text, so that no two names become the same: bytes that are no text are spelled out, and so is "\\"."""
    return os.fsencode(name).replace(b"\\", b"\\\\").decode("utf-8", "backslashreplace")


def _code(name: str) -> bool:
    return many_documents(name) or name.lower().removesuffix(_packed(name)).endswith(".py")


def _packed(name: str) -> str:
    return next((ending for ending in PACKED if name.lower().endswith(ending)), "")


def _walk(root: Path, aside: dict[str, set[Path]]) -> Iterator[tuple[Path, int, str, str]]:
    """(path, size, problem, evidence) of everything below `root`; folders are gone through without recursion."""
    waiting = [root]
    while waiting:
        path = waiting.pop()
        try:
            found = path.stat() if path == root else path.lstat()  # a link that is named as input is meant
            if stat.S_ISLNK(found.st_mode):
                yield path, 0, "link_outside", "leads to what is not read" if path.exists() else "leads nowhere"
            elif stat.S_ISDIR(found.st_mode):
                for name in os.listdir(path):
                    if name.startswith("."):
                        aside["hidden names (they begin with a dot)"].add(path / name)
                    else:
                        waiting.append(path / name)
            elif stat.S_ISREG(found.st_mode):
                yield path, found.st_size, "", ""
            else:
                yield path, 0, "not_a_file", stat.filemode(found.st_mode)
        except OSError as error:
            yield path, 0, "unreadable", str(error.strerror)


def shards(entries: list[Entry]) -> list[Shard]:
    """`entries` in their order, cut into shards. A file that may hold many documents is a shard by itself.

    A shard has about 1 MiB, or where that would make more than some 64 of them twice or four times as much, and so on
    up to 64 MiB. Which file ends a group is drawn by its name, with odds by its size. So a new file changes one shard
    or a few, not all that come after it; only where the input outgrows the size of the shards, many are joined.
    """
    limit, most = SHARD_BYTES
    while limit < most and limit * SHARDS < sum(entry.size for entry in entries):
        limit *= 2
    groups: list[list[Entry]] = []
    group: list[Entry] = []
    size = 0
    for entry in entries:
        if many_documents(entry.path) and not entry.problem:
            groups += [group, [entry]]
            group, size = [], 0
            continue
        group.append(entry)
        size += entry.size
        drawn = int.from_bytes(hashlib.sha256(entry.id.encode()).digest()[:8], "big") / 2**64
        odds = 2 * max(entry.size / limit, 1 / SHARD_FILES)
        enough = size >= limit / 2 or len(group) >= SHARD_FILES / 2
        if (enough and drawn < odds) or len(group) >= 2 * SHARD_FILES or size >= 2 * limit:
            groups.append(group)
            group, size = [], 0
    found = [Shard(_name(group), tuple(group)) for group in [*groups, group] if group]
    assert len({shard.name for shard in found}) == len(found)
    return found


def many_documents(path: str) -> bool:
    """By its name, packed or not: JSON lines, parquet or a dump."""
    return path.lower().removesuffix(_packed(path)).endswith(MANY)


def _name(group: list[Entry]) -> str:
    """The first file's name, made harmless, and a hash of all: no id can lead out of the output folder."""
    slug = re.sub(r"[^A-Za-z0-9_-]+", "-", group[0].id.rsplit("/", 1)[-1].split(".")[0])[:40].strip("-") or "shard"
    return f"{slug}-{hashlib.sha256(chr(10).join(entry.id for entry in group).encode()).hexdigest()[:12]}"
