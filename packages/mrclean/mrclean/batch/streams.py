"""From a file to its documents, one at a time: text, rows of JSON or of a table, dumps, packed or not, and parquet.

Whatever the file holds, each thing in it comes out once, as a `Document` or as `Refused` with the reason, and no more
than one document is in memory (of parquet, a page).
"""

from __future__ import annotations

import bz2
import codecs
import csv
import gzip
import io
import json
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import PurePath

from .. import formats
from ..decoding import decoded
from ..document import Document
from ..dump import wiki_pages
from ..rules import value
from .listing import Entry

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

_OPEN = {".gz": lambda raw: gzip.GzipFile(fileobj=raw), ".bz2": bz2.BZ2File, ".zst": zstd.ZstdFile}
_CHUNK = 1 << 20  # also the bytes by which a file is known for what it is
PAGE_BYTES = 8_000_000  # characters of a dump from the end of one page to that of the next


@dataclass(frozen=True)
class Refused:
    """A file, or a row of one, that is no document."""

    id: str
    reason: str  # one of rules.QUARANTINE
    evidence: str
    bytes: int


class _Expands(Exception):
    pass


class _Unending(Exception):
    pass


def largest() -> int:
    """Bytes that a document may have."""
    return int(value("document_max_megabytes") * 1e6)


def read(
    entry: Entry, kind: str, column: str = "text", advance: Callable[[int], None] = lambda n: None
) -> Iterator[Document | Refused]:
    """Every document of `entry`. `column` is where rows have their text. `advance` is told the bytes read from disk."""
    told = 0  # documents and refusals that came out so far

    def rest(reason: str, error: object) -> Refused:
        # How much a stream held behind a fault is not known; a file is lost with its size, unless rows came before.
        before = f"after {told:,} rows, all behind is lost: " if told else ""
        return Refused(entry.id, reason, f"{before}{error}", 0 if told else entry.size)

    if entry.problem:
        yield Refused(entry.id, entry.problem, entry.evidence, entry.size)
        advance(entry.size)
        return
    position = 0
    try:
        with open(entry.path, "rb", _CHUNK) as raw:
            for found in _found(raw, entry, kind, column):
                told += 1
                yield found
                advance(raw.tell() - position)
                position = raw.tell()
        if not told:
            yield rest("no_text", "there is nothing in it")
    except MemoryError:
        raise  # of the machine, not of the file
    except EOFError as error:
        yield rest("truncated", error)
    except _Expands as error:
        yield rest("expands", error)
    except _Unending as error:
        yield rest("too_large", error)
    except UnicodeDecodeError as error:
        yield rest("undecodable", f"{error.reason}, as {error.encoding}")
    except Exception as error:  # whatever zlib, expat, pyarrow and others make of garbage
        by_system = isinstance(error, OSError) and error.errno
        yield rest("unreadable", error.strerror) if by_system else rest("damaged", f"{type(error).__name__}: {error}")
    advance(max(0, entry.size - position))


def _found(raw: io.BufferedReader, entry: Entry, kind: str, column: str) -> Iterator[Document | Refused]:
    """What lies in the file, by its content; by its name only where that alone can tell (a table, a dump)."""
    name, head = entry.path.lower(), raw.peek(_CHUNK)
    ending = next((ending for ending in _OPEN if name.endswith(ending)), "") or formats.packed(head)
    name = name.removesuffix(ending)
    if name.endswith(".parquet") or head.startswith(b"PAR1"):
        if ending:
            yield Refused(entry.id, "archive", "parquet in a stream; it is packed by itself", entry.size)
        else:
            yield from _parquet(raw, entry, kind, column)
        return
    stream = raw
    if ending:
        allowed = max(largest() + 1, int(value("expansion_max")) * entry.size)
        stream = io.BufferedReader(_Limited(_OPEN[ending](raw), allowed), _CHUNK)
        head = stream.peek(_CHUNK)
    start = _text_of(head)
    if name.endswith((".jsonl", ".ndjson")) or (kind != "code" and formats.is_rows(start)):
        yield from _lines(stream, entry, kind, column)
    elif kind == "wiki" and (name.endswith(".xml") or "<mediawiki" in start[:1000]):
        yield from _dump(stream, entry)
    elif what := formats.binary(head):
        yield Refused(entry.id, "format", what, entry.size)
    elif kind != "code" and (name.endswith((".csv", ".tsv", ".tab")) or formats.is_table(start, column)):
        yield from _table(_whole(stream, entry, kind), entry, kind, column)
    elif kind not in ("code", "wiki") and start.lstrip()[:1] == "[" and name.endswith(".json"):
        yield from _json_rows(_whole(stream, entry, kind), entry, kind, column)
    elif kind not in ("code", "wiki") and (what := formats.not_prose(start, name)):
        yield Refused(entry.id, "format", what, entry.size)
    else:
        yield _whole(stream, entry, kind)


def _text_of(head: bytes) -> str:
    wide = head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    return head.decode("utf-16" if wide else "utf-8-sig", "replace")


def _table(whole: Document | Refused, entry: Entry, kind: str, column: str) -> Iterator[Document | Refused]:
    """The rows of a table whose first line names its columns."""
    if isinstance(whole, Refused) or (text := decoded(whole.raw).text) is None:
        yield whole  # refused, or to be refused when it is decoded
        return
    csv.field_size_limit(largest())
    first = text.partition("\n")[0]
    mark = max("\t;,", key=first.count)
    # Between tabs a quotation mark is a character like others; elsewhere one that is not closed would swallow rows.
    quoting = csv.QUOTE_NONE if mark == "\t" else csv.QUOTE_MINIMAL
    rows = csv.DictReader(io.StringIO(text, newline=""), delimiter=mark, quoting=quoting, strict=True)
    if column not in (rows.fieldnames or ()):
        there = ", ".join(map(repr, (rows.fieldnames or [])[:10]))
        yield Refused(entry.id, "no_text", f"a table without a column {column!r}; there are {there}", entry.size)
        return
    for number, row in enumerate(rows, start=1):
        row.pop(None, None)  # more cells than columns
        yield _of_row(f"{entry.id}/{number}", kind, entry, column, row, 0)


def _json_rows(whole: Document | Refused, entry: Entry, kind: str, column: str) -> Iterator[Document | Refused]:
    """A list of objects in one file."""
    text = None if isinstance(whole, Refused) else decoded(whole.raw).text
    try:
        rows = json.loads(text or "", parse_int=_number)
    except (ValueError, RecursionError):
        rows = None
    if not (isinstance(rows, list) and rows and all(isinstance(row, dict) for row in rows)):
        yield whole if text is None else Refused(entry.id, "format", "JSON, and no list of objects", entry.size)
        return
    for number, row in enumerate(rows, start=1):
        yield _of_row(f"{entry.id}/{number}", kind, entry, column, row, 0)


class _Limited(io.RawIOBase):
    """A decompressed stream that gives up where it has grown beyond `allowed` bytes."""

    def __init__(self, stream, allowed: int):
        self.stream, self.allowed, self.left = stream, allowed, allowed

    def readable(self) -> bool:
        return True

    def readinto(self, buffer) -> int:
        chunk = self.stream.read1(len(buffer))  # what there is: a fault further on must not take it along
        self.left -= len(chunk)
        if self.left < 0:
            raise _Expands(f"more than {self.allowed / 1e6:,.0f} MB come out of it")
        buffer[: len(chunk)] = chunk
        return len(chunk)


def _whole(stream, entry: Entry, kind: str) -> Document | Refused:
    parts, size = [], 0
    while chunk := stream.read(_CHUNK):
        size += len(chunk)
        if size > largest():
            return _too_large(entry.id, entry.size)
        parts.append(chunk)
    return Document(entry.id, kind, entry.source, PurePath(entry.id).stem, raw=b"".join(parts), bytes_in=size)


def _too_large(id: str, size: int) -> Refused:
    return Refused(id, "too_large", f"more than {largest() / 1e6:g} MB in one document", size)


def _lines(stream, entry: Entry, kind: str, column: str) -> Iterator[Document | Refused]:
    number = 0
    while line := stream.readline(largest() + 1):
        number += 1
        id = f"{entry.id}/{number}"  # no file can have this name, as entry.id is no folder
        size = len(line)
        if size > largest():
            while not line.endswith(b"\n") and (line := stream.readline(_CHUNK)):
                size += len(line)
            yield _too_large(id, size)
            continue
        if number == 1:
            line = line.removeprefix(codecs.BOM_UTF8)
        if line.isspace() or not line:
            continue
        try:
            row = json.loads(line, parse_int=_number)
        except (ValueError, RecursionError) as error:
            yield Refused(id, "broken_line", str(error), size)
            continue
        yield _of_row(id, kind, entry, column, row, size)


def _number(digits: str) -> int | None:
    return int(digits) if len(digits) < 4000 else None  # Python refuses longer ones; they are no fault of the text


def _of_row(id: str, kind: str, entry: Entry, column: str, row: object, size: int) -> Document | Refused:
    if not isinstance(row, dict):
        return Refused(id, "no_text", f"no text in {column!r}, not a table row", size)
    if not isinstance(row.get(column), str):
        holds = f"it holds {type(row[column]).__name__}" if column in row else f"there are {_names(row)}"
        return Refused(id, "no_text", f"no text in {column!r}; {holds}", size)
    return _row(id, kind, entry, column, row)


def _names(row: dict) -> str:
    return ", ".join(map(repr, list(row)[:10]))


def _row(id: str, kind: str, entry: Entry, column: str, row: dict) -> Document | Refused:
    text = row[column]
    title = next((row[name] for name in ("title", "id") if isinstance(row.get(name), (str, int))), "")
    title = str(title)[:300].encode("utf-8", "replace").decode("utf-8")
    size = len(text if isinstance(text, bytes) else text.encode("utf-8", "surrogatepass"))
    if size > largest():
        return _too_large(id, size)
    others = {name: of for name, of in row.items() if name != column}
    others = json.loads(json.dumps(others, default=str), parse_int=_number, parse_constant=lambda nan: None)  # no JSON
    others = json.dumps(others, ensure_ascii=False)
    facts = {"bytes_in": size, "row": others.encode("utf-8", "replace").decode("utf-8") if len(others) > 2 else ""}
    if isinstance(text, bytes):
        return Document(id, kind, entry.source, title, raw=text, **facts)
    return Document(id, kind, entry.source, title, text=text, codec="utf-8", **facts)


def _parquet(raw, entry: Entry, kind: str, column: str) -> Iterator[Document | Refused]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    # One row at a time, in a buffer: a row group may hold more than fits into memory, and so may a batch of rows. A
    # page is unpacked as a whole, so what swells too much is refused by what the file says of itself.
    table = pq.ParquetFile(raw, buffer_size=_CHUNK, pre_buffer=False)
    schema = table.schema_arrow
    if schema.names.count(column) != 1:
        found = "several columns" if column in schema.names else "no column"
        there = ", ".join(schema.names[:10]) or "none"
        yield Refused(entry.id, "no_text", f"{found} {column!r}; there are {there}", entry.size)
        return
    form = schema.field(column).type
    packed = pa.types.is_dictionary(form)  # as pandas writes categories: each text once, and numbers for the rows
    texts = (pa.types.is_string, pa.types.is_large_string, pa.types.is_binary, pa.types.is_large_binary)
    if not any(is_type(form.value_type if packed else form) for is_type in texts):
        yield Refused(entry.id, "no_text", f"the column {column!r} holds {form}", entry.size)
        return
    names = [column, *(n for n in schema.names if n != column and schema.names.count(n) == 1)]
    groups = [table.metadata.row_group(k) for k in range(table.metadata.num_row_groups)]
    for part in (g.column(k) for g in groups for k in range(g.num_columns)):
        out_of_it = part.total_uncompressed_size
        limit = max(largest(), value("expansion_max") * part.total_compressed_size)
        if part.path_in_schema.split(".")[0] in names and out_of_it > limit:
            raise _Expands(f"{out_of_it / 1e6:,.0f} MB are to come out of it")
    allowed = left = max(largest() + 1, int(value("expansion_max")) * entry.size)
    for number, batch in enumerate(table.iter_batches(batch_size=1, columns=names), start=1):
        id = f"{entry.id}/{number}"
        size = 0 if packed else batch.nbytes  # with a dictionary, that would be all texts
        if size > largest() + 100_000:
            yield _too_large(id, size)
            continue
        try:
            row = {name: _cell(batch.column(name)[0], name == column) for name in names}
        except UnicodeDecodeError as error:
            yield Refused(id, "undecodable", error.reason, size)
            continue
        text = row[column]
        left -= len(text or "")
        if left < 0:
            raise _Expands(f"more than {allowed / 1e6:,.0f} MB come out of it")
        if text is None:
            yield Refused(id, "no_text", f"{column!r} is empty in row {number}", 0)
        else:
            yield _row(id, kind, entry, column, row)


def _cell(cell, text: bool) -> object:
    """What stands in a cell; None where that cannot be told, unless it is the text."""
    try:
        return cell.as_py()
    except (ValueError, OverflowError):
        if text:
            raise
        return None


def _dump(stream, entry: Entry) -> Iterator[Document | Refused]:
    number = waiting = 0

    def fed():
        nonlocal waiting
        for piece in _decoded(stream):
            waiting += len(piece)
            if waiting > PAGE_BYTES:
                raise _Unending(f"more than {waiting / 1e6:.0f} MB without the end of a page")
            yield piece

    for page in wiki_pages(fed()):
        number, waiting = number + 1, 0
        del page["number"]  # of the page in its own wiki; what is unique here is the place in the dump
        id = f"{entry.id}/{number}"
        yield Document(id, "wiki", entry.source, codec="utf-8", **page)


def _decoded(stream) -> Iterator[str]:
    head = stream.peek(4)[:4]
    utf16 = head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) or head[:2] in (b"<\x00", b"\x00<")
    decoder = codecs.getincrementaldecoder("utf-16" if utf16 else "utf-8-sig")()
    while chunk := stream.read(1 << 16):
        yield decoder.decode(chunk)
    yield decoder.decode(b"", final=True)
