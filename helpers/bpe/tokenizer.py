"""Text to ids and back."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from heapq import heapify, heappop, heappush
from itertools import pairwise
from operator import add
from typing import TYPE_CHECKING

import numpy as np

from .. import paths
from .patterns import CL100K, check_pattern, split_text, utf8

if TYPE_CHECKING:
    import tiktoken

SPECIALS = ("<|bos|>", "<|eos|>")
BYTES = bytes(range(256))  # id of a byte = its value
CACHE_PIECES = 500_000  # pieces `encode_plain` remembers before it forgets them all: about 100 MB,
CACHE_LENGTH = 64  # as longer ones, which hardly come twice, are not remembered
LONG_PIECE, FEW_PAIRS = 1_000, 16  # where `_join_runs` is worth its while


def apply_merges(ids: Sequence[int], made: Mapping[tuple[int, int], int]) -> list[int]:
    """Join the pair that was learned first wherever it stands, then the next, until none is left.

    `made` gives the id that a pair becomes; a smaller id was learned earlier. The ids are a linked list and the pairs
    wait in a heap, so n ids take about n log n steps: a megabyte without a cut is no harder than one of prose.
    """
    if len(ids) > LONG_PIECE:
        ids = _join_runs(ids, made)
    end = len(ids)
    ids = [*ids, -1]  # -1 pairs with nothing: it ends the list, stands before its first (ids[-1]), marks the lost
    after, before = list(range(1, end + 2)), list(range(-1, end))
    todo: dict[int, list[int]] = {}  # the id a merge makes -> where its pair starts
    for i, pair in enumerate(pairwise(ids)):
        if (new := made.get(pair)) is not None:
            todo.setdefault(new, []).append(i)
    order = list(todo)
    heapify(order)
    while order:
        new = heappop(order)
        # From the left, as each list grew in one such round. What this round makes has a larger id and waits.
        for i in todo.pop(new):
            j = after[i]
            if made.get((ids[i], ids[j])) != new:
                continue  # one of the two has been joined with another neighbour
            left, right = before[i], after[j]
            ids[i], ids[j] = new, -1
            after[i], before[right] = right, i
            for start, pair in ((left, (ids[left], new)), (i, (new, ids[right]))):
                if (later := made.get(pair)) is not None:
                    if later not in todo:
                        todo[later] = []
                        heappush(order, later)
                    todo[later].append(start)
    return [i for i in ids if i >= 0]


def _join_runs(ids: Sequence[int], made: Mapping[tuple[int, int], int]) -> list[int]:
    """The same, as far as there are few different pairs, as in a million blanks: without a loop over the ids."""
    word = "".join(map(chr, ids))  # one character per id
    while len(pairs := set(map(add, word, word[1:]))) <= FEW_PAIRS:
        known = {new: (a, b) for a, b in pairs if (new := made.get((ord(a), ord(b)))) is not None}
        if not known:
            break
        first = min(known)
        word = word.replace("".join(known[first]), chr(first))
    return [*map(ord, word)]


def recover_merges(vocab: Sequence[bytes]) -> list[tuple[int, int]]:
    """The pair that each token from id 256 on was made of, found from the bytes of the tokens alone.

    A token was learned when everything before it was already joined. So the merges before it, applied to its bytes,
    leave just the two parts that it joins.

    Raises:
        ValueError: a token that earlier tokens do not leave in two parts: this is not the vocabulary of a byte-level
            BPE, or its order was lost.
    """
    if sorted(vocab[:256]) != [bytes([i]) for i in range(256)]:
        raise ValueError("the first 256 tokens are not the 256 single bytes, in whatever order")
    id_of = {token[0]: i for i, token in enumerate(vocab[:256])}
    made: dict[tuple[int, int], int] = {}
    for new, token in enumerate(vocab[256:], 256):
        parts = apply_merges([id_of[byte] for byte in token], made)
        if len(parts) != 2:
            raise ValueError(f"token {new} ({token!r}) is not made of two earlier tokens but of {len(parts)}")
        made[parts[0], parts[1]] = new
    return list(made)


class Tokenizer:
    """A vocabulary, the pattern that splits text before it, and special tokens that text cannot make.

    Attributes:
        merges: the pair of ids that id 256 + i joins.
        pattern: where text is cut before anything is joined.
        vocab: the bytes of every id but the specials.
        specials: name -> id; specials have no bytes.
        bos, eos: the ids that open and close a document; None in a tokenizer without them.
        vocab_size: largest id + 1. An embedding needs so many rows, also where published tokenizers leave ids out.

    Raises:
        ValueError: merges of ids that are not there, or that no text would lead to; specials among the tokens; a
            pattern that cannot split.
    """

    def __init__(
        self,
        merges: Iterable[Sequence[int]],
        pattern: str = CL100K,
        alphabet: bytes = BYTES,
        specials: Mapping[str, int] | None = None,
        *,
        recovered: bool = False,  # the merges come from `recover_merges`, so they need not be held against it
    ):
        if sorted(alphabet) != list(range(256)):
            raise ValueError("alphabet must hold each of the 256 bytes once: byte i of it has id i")
        self.merges = [(int(a), int(b)) for a, b in merges]
        check_pattern(pattern)
        self.pattern, self.alphabet = pattern, alphabet
        self.vocab = [bytes([byte]) for byte in alphabet]
        for a, b in self.merges:
            if not (0 <= a < len(self.vocab) and 0 <= b < len(self.vocab)):
                raise ValueError(f"merge {a} {b} of id {len(self.vocab)} names an id that is not there yet")
            self.vocab.append(self.vocab[a] + self.vocab[b])
        # Other libraries know a token by its bytes alone, and join whatever makes them.
        if len(set(self.vocab)) < len(self.vocab):
            raise ValueError("the same pair is merged twice, or two pairs make the same bytes")
        if not recovered and recover_merges(self.vocab) != self.merges:
            raise ValueError("the merges have an order in which some of them never come about")
        n = len(self.vocab)
        self.specials = dict(specials) if specials is not None else {name: n + i for i, name in enumerate(SPECIALS)}
        if len(set(self.specials.values())) < len(self.specials) or min(self.specials.values(), default=n) < n:
            raise ValueError(f"special ids {self.specials} must differ from each other and lie above {n - 1}")
        self.bos, self.eos = (self.specials.get(name) for name in SPECIALS)
        self.vocab_size = max([n - 1, *self.specials.values()]) + 1
        self._made = {pair: 256 + i for i, pair in enumerate(self.merges)}
        self._to_ids = bytes(np.argsort(list(alphabet)).astype(np.uint8))  # translates a byte to its id
        self._lengths = np.array([len(token) for token in self.vocab], dtype=np.int32)
        self._cache: dict[str, list[int]] = {}

    @classmethod
    def from_vocab(cls, vocab: Sequence[bytes], pattern: str, specials: Mapping[str, int] | None = None) -> Tokenizer:
        """The tokenizer of a list of tokens in the order of their ids, as rank files hold it; see `recover_merges`."""
        return cls(recover_merges(vocab), pattern, b"".join(vocab[:256]), specials, recovered=True)

    @cached_property
    def hash(self) -> str:
        """sha256 over pattern, alphabet, merges and specials; equal hash, equal ids."""
        parts = [self.pattern, self.alphabet.hex(), self.merges, sorted(self.specials.items())]
        return paths.sha256(json.dumps(parts))

    def check_hash(self, made_with: str, what: str) -> None:
        """Refuse to be used on `what` (plural), whose ids the tokenizer of hash `made_with` gave, unless that is this.

        Raises:
            ValueError: names both. The same ids mean other text there, and nothing downstream would notice.
        """
        if made_with != self.hash:
            known = f"tokenizer {str(made_with)[:12]}" if made_with else "a tokenizer that is not recorded"
            raise ValueError(
                f"{what} belong to {known}, this is tokenizer {self.hash[:12]}; "
                "load the one they were made with, or make them again"
            )

    @cached_property
    def tiktoken(self) -> tiktoken.Encoding:
        """The same tokenizer in tiktoken (compiled, MIT licence), which encodes for this one."""
        import tiktoken  # here: only those who encode pay for it

        return tiktoken.Encoding(
            name=f"bpe-{self.hash[:12]}",
            pat_str=self.pattern,
            mergeable_ranks={token: i for i, token in enumerate(self.vocab)},
            special_tokens=self.specials,
        )

    def encode_array(self, text: str) -> np.ndarray:
        """The ids of `text` as uint32 (tokens,), never a special one: "<|eos|>" in a text is ordinary characters.

        Raises:
            ValueError: for a lone surrogate, see `split_text`, and for a pattern that drops characters.
        """
        size = len(text) if text.isascii() else len(utf8(text))
        compiled = self.tiktoken
        try:
            ids = compiled.encode_to_numpy(text, disallowed_special=())  # and none allowed: none is looked for
        except ValueError:  # its regex engine runs out of stack at about a million blanks in a row; `regex` does not
            ids = np.array(self.encode_plain(text), dtype=np.uint32)
        if self._lengths[ids].sum() != size:
            raise ValueError(f"the split pattern drops characters of this text: {self.pattern}")
        return ids

    def encode_text(self, text: str) -> list[int]:
        """`encode_array` as a list."""
        return self.encode_array(text).tolist()

    def encode_plain(self, text: str) -> list[int]:
        """The ids of `text` by the code of this package alone: `split_text`, then `apply_merges` on each piece.

        Slower than `encode_text`, and what proves it. The two may differ on characters that are newer than the Unicode
        tables of one of them; the text comes back from either.
        """
        ids: list[int] = []
        for piece in split_text(text, self.pattern):
            known = self._cache.get(piece)
            if known is None:
                known = self.encode_piece(piece.encode("utf-8"))
                if len(self._cache) >= CACHE_PIECES:
                    self._cache.clear()
                if len(piece) <= CACHE_LENGTH:
                    self._cache[piece] = known
            ids += known
        return ids

    def encode_piece(self, piece: bytes) -> list[int]:
        """The ids of bytes that nothing cuts."""
        return apply_merges(piece.translate(self._to_ids), self._made)

    def encode_document(self, text: str) -> list[int]:
        """``[bos] + ids + [eos]``: the only way a special id comes into being.

        Raises:
            ValueError: a tokenizer without these two, as the published ones.
        """
        if self.bos is None or self.eos is None:
            raise ValueError(f"this tokenizer has no {' and '.join(SPECIALS)} to mark a document with")
        return [self.bos, *self.encode_text(text), self.eos]

    def decode_bytes(self, ids: Iterable[int]) -> bytes:
        """The exact bytes behind `ids` (whole numbers in a sequence, an iterator or an array); specials have none.

        Raises:
            ValueError: for an id that this tokenizer does not have.
            TypeError: for anything but a row of whole numbers.
        """
        array = ids if isinstance(ids, np.ndarray) else np.array(list(ids), dtype=None if ids else int)
        if array.ndim != 1 or (array.size and array.dtype.kind not in "iu"):
            raise TypeError(f"ids must be a row of whole numbers, not {array.ndim}-dimensional {array.dtype}")
        n, known = len(self.vocab), set(self.specials.values())
        ids = array.tolist()
        if unknown := [i for i in ids if not 0 <= i < n and i not in known]:
            raise ValueError(
                f"no token has id {unknown[0]}; this tokenizer has 0 to {n - 1} and specials {sorted(known)}"
            )
        return b"".join([self.vocab[i] for i in ids if i < n])

    def decode(self, ids: Iterable[int], errors: str = "replace") -> str:
        """`decode_bytes` as text; whole texts come back as they were.

        Any tokens can be decoded, in whatever order a model puts them out. A token is a run of bytes and may end in
        the middle of a character. `errors` says what becomes of bytes that are not UTF-8, as in `bytes.decode`:
        "replace" writes U+FFFD, "backslashreplace" shows the bytes, "ignore" drops them, "strict" raises
        UnicodeDecodeError.
        """
        return self.decode_bytes(ids).decode("utf-8", errors=errors)
