"""Files that are there whole or not at all, and their hashes."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO


def sha256(data: str | bytes) -> str:
    return hashlib.sha256(data.encode("utf-8") if isinstance(data, str) else data).hexdigest()


def sha256_file(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextlib.contextmanager
def atomic(path: Path) -> Iterator[BinaryIO]:
    """A binary file to write that becomes `path` whole or not at all: temporary file in the same folder, fsync, rename.

    While it grows, its name tells which process writes it: ``.NAME.PID.part``.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with open(part, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)


def write(path: Path, data: str | bytes) -> None:
    with atomic(path) as file:
        file.write(data.encode("utf-8") if isinstance(data, str) else data)


def write_note(path: Path, facts: dict) -> None:
    """`facts` as JSON, with a hash of themselves."""
    text = json.dumps(facts, sort_keys=True)
    write(path, json.dumps({"sha256": sha256(text), "facts": text}))


def read_note(path: Path) -> dict | None:
    """What `write_note` wrote; None where it is not there, or not as it was written."""
    try:
        note = json.loads(path.read_text("utf-8"))
        return json.loads(note["facts"]) if sha256(note["facts"]) == note["sha256"] else None
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None
