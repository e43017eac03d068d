"""Where things live: the checkout, the workspace, and what one notebook leaves for the next."""

from __future__ import annotations

import functools
import json
import os
from pathlib import Path

from labjournal.files import atomic, read_json, sha256, sha256_file, write_atomic, write_json

__all__ = [
    "ROOT", "MissingArtifact", "artifacts", "atomic", "hash_once", "images_dir", "journal_dir", "notebooks_dir",
    "read_json", "read_manifest",
    "relative", "sha256", "sha256_file", "shown", "sources_dir", "workspace", "write_atomic", "write_json",
    "write_manifest",
]  # fmt: skip

ROOT = Path(__file__).resolve().parent.parent


class MissingArtifact(RuntimeError):
    """Something an earlier notebook makes is not there, or was made with other settings."""


def workspace() -> Path:
    """The folder that journal/, images/ and artifacts/ live in: ``LAB_WORKSPACE``, or the checkout."""
    moved = os.environ.get("LAB_WORKSPACE")
    return Path(moved).expanduser().resolve() if moved else ROOT


def artifacts(*parts: str) -> Path:
    return workspace().joinpath("artifacts", *parts)


def journal_dir() -> Path:
    return workspace() / "journal"


def images_dir() -> Path:
    return workspace() / "images"


def notebooks_dir() -> Path:
    """The notebooks that are run: the committed ones, or copies of them in ``LAB_NOTEBOOKS``."""
    return Path(os.environ.get("LAB_NOTEBOOKS") or ROOT / "notebooks")


def sources_dir() -> Path:
    """Pinned sources stay with the checkout: every workspace shares them, verified by hash."""
    return ROOT / "artifacts" / "sources"


def relative(path: Path) -> str:
    """`path` as text that names no folder of this machine: relative to the workspace or checkout."""
    path = Path(path).resolve()
    for base in (workspace(), ROOT):
        if path.is_relative_to(base):
            return path.relative_to(base).as_posix()
    return path.name


def shown(path: Path) -> str:
    """A path as the learner can open it: relative to where they stand when it is below, else in full."""
    try:
        return str(path.relative_to(Path.cwd()))
    except ValueError:
        return str(path)


def hash_once(path: Path) -> str:
    """sha256 of a file, once in a process for as long as size and time of its last change are the same."""
    facts = os.stat(path)
    return _hash(path, facts.st_size, facts.st_mtime_ns)


@functools.cache
def _hash(path: Path, size: int, changed: int) -> str:
    return sha256_file(path)


def write_manifest(folder: Path, made_by: str, profile: str, **facts) -> dict:
    """Close a folder of artifacts: ``manifest.json`` says who made it, from what, and the hash of every file.

    Written last, so a folder without a manifest is a folder that was never finished.
    """
    files = {
        p.relative_to(folder).as_posix(): sha256_file(p)
        for p in sorted(folder.rglob("*"))
        if p.is_file() and p.name != "manifest.json" and not p.name.startswith(".")
    }
    manifest = {"made_by": made_by, "profile": profile, **facts, "files": files}
    manifest["hash"] = sha256(json.dumps(files, sort_keys=True))
    write_json(folder / "manifest.json", manifest)
    return manifest


def read_manifest(folder: Path, made_by: str, profile: str) -> dict:
    """The manifest of an artifact folder, checked: finished, from this profile, files unchanged.

    Args:
        made_by: a notebook ("03_gpt"), or the command that makes it ("helpers.own_text train").

    Raises:
        MissingArtifact: names the folder, what is wrong, and the notebook or command to run.
    """
    remedy = f"run notebooks/{made_by}.ipynb first:  python -m helpers.run --profile {profile} --only {made_by[:2]}"
    if not made_by[:2].isdigit():
        remedy = f"it was made by python -m {made_by}"
    path = folder / "manifest.json"
    if not path.is_file():
        raise MissingArtifact(f"{relative(folder)} is not there or not finished; {remedy}")
    manifest = read_json(path)
    files = manifest.get("files") if isinstance(manifest, dict) else None
    if not isinstance(files, dict) or manifest.get("hash") != sha256(json.dumps(files, sort_keys=True)):
        raise MissingArtifact(f"{relative(path)} is damaged; {remedy}")
    if manifest.get("made_by") != made_by or "profile" not in manifest:
        raise MissingArtifact(f"{relative(path)} was made by {manifest.get('made_by')}, not by {made_by}; {remedy}")
    if manifest["profile"] != profile:
        raise MissingArtifact(
            f"{relative(folder)} was made with the {manifest['profile']} profile, this is {profile}; {remedy}"
        )
    for name, expected in manifest["files"].items():
        if not (folder / name).is_file() or hash_once(folder / name) != expected:
            raise MissingArtifact(f"{relative(folder)}/{name} is missing or changed since it was made; {remedy}")
    return manifest
