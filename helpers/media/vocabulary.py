"""One vocabulary: text, pictures and sound in one row of ids, each kind between boundaries that nothing can forge."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from .quantise import whole

if TYPE_CHECKING:
    from ..bpe import Tokenizer

KINDS = ("image", "audio")


class Vocabulary:
    """The tokenizer's ids, then the image codes, then the audio codes, then a begin and an end for either.

    Text becomes ids by `encode_text`, which never gives an id beyond the tokenizer's tokens; codes are checked against
    their range before they are shifted into place. So the only way to a boundary is to be one.

    Attributes:
        sizes: kind -> number of codes.
        first: kind -> id of its code 0.
        begin, end: kind -> id of the boundary.
        vocab_size: all ids; an embedding needs so many rows.
    """

    def __init__(self, tokenizer: Tokenizer, image: int, audio: int):
        image, audio = whole("image, the number of its codes,", image), whole("audio, the number of its codes,", audio)
        if tokenizer.bos is None or tokenizer.eos is None:
            raise ValueError("this tokenizer has no ids that open and close a document")
        self.tokenizer = tokenizer
        self.sizes = {"image": image, "audio": audio}
        n = tokenizer.vocab_size
        self.first = {"image": n, "audio": n + image}
        n += image + audio
        self.begin = {"image": n, "audio": n + 2}
        self.end = {"image": n + 1, "audio": n + 3}
        self.vocab_size = n + 4

    def encode(self, segments: Sequence[tuple[str, object]]) -> list[int]:
        """A document: ``[bos, …, eos]``. A segment is ("text", str), ("image", codes) or ("audio", codes).

        Raises:
            ValueError: an unknown kind, or codes that are no whole numbers of its range.
        """
        row = [self.tokenizer.bos]
        for kind, content in segments:
            if kind == "text":
                row += self.tokenizer.encode_text(content)
                continue
            codes = np.asarray(content)
            if kind not in KINDS:
                raise ValueError(f"no kind {kind!r}; there are text, {', '.join(KINDS)}")
            if codes.ndim != 1 or not codes.size or codes.dtype.kind not in "iu":
                raise ValueError(f"{kind} codes are a row of whole numbers, not {codes.dtype} of shape {codes.shape}")
            if not 0 <= codes.min() <= codes.max() < self.sizes[kind]:
                raise ValueError(f"{kind} codes lie in 0..{self.sizes[kind] - 1}, not {codes.min()}..{codes.max()}")
            row += [self.begin[kind], *(codes.astype(np.int64) + self.first[kind]).tolist(), self.end[kind]]
        return [*row, self.tokenizer.eos]

    def decode(self, row: Sequence[int]) -> list[tuple[str, object]]:
        """The segments of a document. Text that was cut in two by nothing comes back as one.

        Raises:
            ValueError: what `encode` cannot have made: no bos and eos around it, a boundary without its partner, an id
                of one kind where another is due, nothing between two boundaries. A model may well write such a row.
        """
        if not all(isinstance(i, (int, np.integer)) and not isinstance(i, bool) for i in row):
            raise ValueError("a document is a row of whole numbers")
        row = [int(i) for i in row]
        if len(row) < 2 or row[0] != self.tokenizer.bos or row[-1] != self.tokenizer.eos:
            raise ValueError("a document begins with bos and ends with eos")
        starts, segments, text, i = {self.begin[kind]: kind for kind in KINDS}, [], [], 1
        while i < len(row) - 1:
            if (kind := starts.get(row[i])) is None:
                if self.kind(row[i]) != "text":
                    raise ValueError(f"id {row[i]} at place {i} is {self.kind(row[i])}, where text or a begin is due")
                text.append(row[i])
                i += 1
                continue
            if text:
                segments.append(("text", self.tokenizer.decode(text)))
                text = []
            if self.end[kind] not in row[i:]:
                raise ValueError(f"the {kind} that begins at place {i} does not end")
            close = row.index(self.end[kind], i)
            inside = np.array(row[i + 1 : close], dtype=np.int64)
            if not inside.size or {self.kind(code) for code in inside.tolist()} != {kind}:
                raise ValueError(f"between the boundaries at places {i} and {close} is something other than {kind}")
            segments.append((kind, inside - self.first[kind]))
            i = close + 1
        return [*segments, ("text", self.tokenizer.decode(text))] if text else segments

    def kind(self, i: int) -> str:
        """What id `i` is: text, image, audio or boundary (bos and eos among them).

        Raises:
            ValueError: no such id.
        """
        if not 0 <= i < self.vocab_size:
            raise ValueError(f"no id {i}; there are {self.vocab_size}")
        if i >= self.begin["image"] or i in self.tokenizer.specials.values():
            return "boundary"
        if i < self.tokenizer.vocab_size:
            return "text"
        return "image" if i < self.first["audio"] else "audio"
