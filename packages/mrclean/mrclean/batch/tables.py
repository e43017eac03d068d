"""Tables that are written row by row, and are there whole or not at all: as parquet, JSON lines or plain text."""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Iterator
from pathlib import Path

from ..files import atomic

ROW_GROUP_BYTES, ROW_GROUP_ROWS = 4_000_000, 1024


class Table:
    """Rows that go to parquet as they come; a row group at a time is held in memory."""

    def __init__(self, file, columns: dict):
        import pyarrow as pa
        import pyarrow.parquet as pq

        self._schema = pa.schema(list(columns.items()))
        self._writer = pq.ParquetWriter(pa.PythonFile(file, "w"), self._schema, compression="zstd")
        self._waiting: list[tuple] = []
        self._bytes = 0
        self.rows = 0

    def add(self, row: tuple, size: int) -> None:
        """A row with its values in the order of the columns; `size` is about what it takes in memory."""
        self._waiting.append(row)
        self._bytes += size
        self.rows += 1
        if self._bytes >= ROW_GROUP_BYTES or len(self._waiting) >= ROW_GROUP_ROWS:
            self._flush()

    def _flush(self) -> None:
        import pyarrow as pa

        if self._waiting:
            columns = [pa.array(c, f.type) for c, f in zip(zip(*self._waiting, strict=True), self._schema, strict=True)]
            self._writer.write_table(pa.Table.from_arrays(columns, schema=self._schema), row_group_size=ROW_GROUP_ROWS)
        self._waiting, self._bytes = [], 0

    def close(self) -> None:
        self._flush()
        self._writer.close()


class Lines:
    """The same as JSON lines; or as plain text, where a line with a form feed follows each document."""

    def __init__(self, file, columns: dict, text_only: bool):
        self._file, self._names, self._text_only = file, list(columns), text_only
        self.rows = 0

    def add(self, row: tuple, size: int) -> None:
        found = dict(zip(self._names, row, strict=True))
        for name in ("redacted", "row"):
            found[name] = json.loads(found[name] or "{}")
        if self._text_only:  # code may hold such a line, too; to Python, it is an empty one
            line = re.sub("\f+\n", "\n", found["text"]) + "\f\n"
        else:
            line = json.dumps(found, ensure_ascii=False) + "\n"
        self._file.write(line.encode("utf-8", "surrogatepass" if self._text_only else "backslashreplace"))
        self.rows += 1

    def close(self) -> None:
        pass


FORMATS = {"parquet": ".parquet", "jsonl": ".jsonl", "text": ".txt"}


@contextlib.contextmanager
def table(path: Path, columns: dict) -> Iterator[Table | Lines]:
    """A table that becomes `path` when all went well; its ending is one of `FORMATS`."""
    with atomic(path) as file:
        parquet = path.suffix == FORMATS["parquet"]
        rows = Table(file, columns) if parquet else Lines(file, columns, path.suffix == FORMATS["text"])
        try:
            yield rows
        except BaseException:
            with contextlib.suppress(Exception):
                rows.close()  # into the file that is thrown away: Arrow closes it in any case, and later is too late
            raise
        rows.close()
