"""Byte-level byte-pair encoding (BPE) with GPT-4's split pattern: train, encode, decode.

    ids 0 .. 255        the bytes themselves: every text can be encoded, nothing is ever unknown
    ids 256 .. V-3      merges, in the order they were learned: id 256 + i joins the two ids of ``merges[i]``
    ids V-2, V-1        <|bos|> and <|eos|>; they have no bytes, so no text can turn into them

Method: Sennrich et al. 2016 (arXiv:1508.07909), on bytes as in GPT-2 (Radford et al. 2019).

    tokenizer = train(["low lower lowest"], vocab_size=261)
    tokenizer.merges                        # [(108, 111), (256, 119), (32, 257)]: lo, low, " low"
    tokenizer.encode_text("low lowest")     # [257, 258, 101, 115, 116]
    tokenizer.encode_document("low")        # [259, 257, 260]
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from heapq import heapify, heappop, heappush
from itertools import pairwise
from pathlib import Path

import numpy as np
import regex

from . import paths

# cl100k_base, the pattern of GPT-4, as it was first published. tiktoken later rewrote it with possessive quantifiers
# and `\s++$`: the same ids for GPT-4's vocabulary, but `$` and `{1,3}+` mean other things in other regex engines.
PATTERN = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)"  # contractions
    r"|[^\r\n\p{L}\p{N}]?\p{L}+"  # a word, with one character before it: mostly its space
    r"|\p{N}{1,3}"  # digits in groups of three, from the left
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*"  # punctuation, with the line ends that follow
    r"|\s*[\r\n]+"  # line ends, with the blanks before them
    r"|\s+(?!\S)"  # blanks but for the last, which belongs to the next word
    r"|\s+"
)
SPECIALS = ("<|bos|>", "<|eos|>")
CACHE_PIECES = 500_000  # pieces an encoder remembers before it forgets them all: about 100 MB


def split(text: str, pattern: str = PATTERN) -> list[str]:
    """Cut `text` into the pieces that merges never cross; the pieces joined are the text again.

    Raises:
        ValueError: for a lone surrogate (half of a UTF-16 pair: it has no UTF-8 bytes), and for a pattern that
            would drop characters.
    """
    try:
        text.encode("utf-8")
    except UnicodeEncodeError as error:
        raise ValueError(
            f"character {error.start} is the lone surrogate U+{ord(text[error.start]):04X}, which has no UTF-8 bytes; "
            "decode the source again with the right codec (notebook 01)"
        ) from error
    pieces = regex.findall(pattern, text)
    if "".join(pieces) != text:
        raise ValueError(f"the split pattern drops characters of this text: {pattern}")
    return pieces


def count_pieces(texts: Iterable[str]) -> Counter[bytes]:
    """How often each piece occurs, as UTF-8 bytes."""
    counts: Counter[str] = Counter()
    for text in texts:
        counts.update(split(text))
    return Counter({piece.encode("utf-8"): n for piece, n in counts.items()})


def learn_merges(pieces: Mapping[bytes, int], n_merges: int) -> list[tuple[int, int]]:
    """The `n_merges` most frequent pairs, each found after the ones before it were joined; fewer if none are left.

    Of two pairs as frequent, the one with the smaller ids wins, so the result does not depend on any order.

    The naive loop counts every pair of the corpus again for every merge. Three things give the same result sooner:
    equal pieces are one word with a count; an index says which words hold a pair, so that a merge touches only those;
    and the best pair comes from a heap that may be out of date. It may, because a merge only adds pairs that hold the
    new id: every older pair can only lose, so an entry of the heap is at least the true count, and is put right when
    it comes to the top.
    """
    words = [list(piece) for piece in pieces]
    times = list(pieces.values())
    counts: dict[tuple[int, int], int] = defaultdict(int)
    where: dict[tuple[int, int], set[int]] = defaultdict(set)  # the words a pair is in, or once was
    for w, word in enumerate(words):
        for pair in pairwise(word):
            counts[pair] += times[w]
            where[pair].add(w)
    heap = [(-count, pair) for pair, count in counts.items()]
    heapify(heap)

    merges: list[tuple[int, int]] = []
    while heap and len(merges) < n_merges:
        negative, pair = heappop(heap)
        if counts[pair] < -negative:  # out of date
            if counts[pair] > 0:
                heappush(heap, (-counts[pair], pair))
            continue
        new = 256 + len(merges)
        merges.append(pair)
        (a, b), created = pair, set()
        for w in where.pop(pair):
            word, joined, i = words[w], [], 0
            while i < len(word):
                if word[i] != a or i + 1 == len(word) or word[i + 1] != b:
                    joined.append(word[i])
                    i += 1
                    continue
                lost_and_won = []
                if joined:
                    lost_and_won.append(((joined[-1], a), (joined[-1], new)))
                if i + 2 < len(word):
                    lost_and_won.append(((b, word[i + 2]), (new, word[i + 2])))
                for lost, won in lost_and_won:
                    counts[lost] -= times[w]
                    counts[won] += times[w]
                    where[won].add(w)
                    created.add(won)
                joined.append(new)
                i += 2
            words[w] = joined
        for won in created:
            if counts[won] > 0:  # 0: won and lost again in one step, as the pair (aa, a) in "aaaa"
                heappush(heap, (-counts[won], won))
    return merges


def train(texts: Iterable[str], vocab_size: int) -> Tokenizer:
    """Learn a tokenizer of `vocab_size` ids (256 bytes + merges + special tokens) from documents.

    Raises:
        ValueError: when `vocab_size` leaves no room for bytes and specials, or the texts run out of pairs to merge.
    """
    smallest = 256 + len(SPECIALS)
    if vocab_size < smallest:
        raise ValueError(f"vocab_size {vocab_size} is too small: 256 bytes and {len(SPECIALS)} specials are {smallest}")
    merges = learn_merges(count_pieces(texts), vocab_size - smallest)
    if len(merges) < vocab_size - smallest:
        raise ValueError(
            f"the texts allow {len(merges)} merges, vocab_size {vocab_size} needs {vocab_size - smallest}; "
            f"give more text or ask for at most {smallest + len(merges)}"
        )
    return Tokenizer(merges)


class Tokenizer:
    """Text to ids and back.

    Attributes:
        merges: the pair of ids that id 256 + i joins.
        vocab: the bytes of every id; specials have none.
        bos, eos: the ids that open and close a document.
        hash: sha256 over pattern, merges and specials; equal hash, equal ids.
    """

    def __init__(self, merges: Sequence[tuple[int, int]], pattern: str = PATTERN):
        self.merges = [(int(a), int(b)) for a, b in merges]
        self.pattern = pattern
        self.vocab = [bytes([i]) for i in range(256)]
        for a, b in self.merges:
            if not (0 <= a < len(self.vocab) and 0 <= b < len(self.vocab)):
                raise ValueError(f"merge {a} {b} of id {len(self.vocab)} names an id that is not there yet")
            self.vocab.append(self.vocab[a] + self.vocab[b])
        self._rank = {pair: 256 + i for i, pair in enumerate(self.merges)}
        if len(self._rank) < len(self.merges):
            raise ValueError("the same pair is merged twice")
        self.specials = {name: len(self.vocab) + i for i, name in enumerate(SPECIALS)}
        self.bos, self.eos = self.specials["<|bos|>"], self.specials["<|eos|>"]
        self.vocab += [b""] * len(self.specials)
        self.hash = paths.sha256(json.dumps([self.pattern, self.merges, self.specials]))
        self._cache: dict[str, list[int]] = {}

    @property
    def vocab_size(self) -> int:
        """Number of ids, specials included."""
        return len(self.vocab)

    def encode_text(self, text: str) -> list[int]:
        """The ids of `text`, never a special one: "<|eos|>" in a text is seven ordinary characters.

        Raises:
            ValueError: for a lone surrogate, see `split`.
        """
        ids: list[int] = []
        for piece in split(text, self.pattern):
            known = self._cache.get(piece)
            if known is None:
                if len(self._cache) >= CACHE_PIECES:
                    self._cache.clear()
                known = self._cache[piece] = self._encode_piece(piece.encode("utf-8"))
            ids += known
        return ids

    def encode_document(self, text: str) -> list[int]:
        """``[bos] + ids + [eos]``: the only way a special id comes into being."""
        return [self.bos, *self.encode_text(text), self.eos]

    def decode_bytes(self, ids: Iterable[int]) -> bytes:
        """The exact bytes behind `ids` (a sequence or an array); specials have none.

        Raises:
            ValueError: for an id outside 0 .. vocab_size - 1.
        """
        ids = np.asarray(ids).tolist()
        if ids and not (min(ids) >= 0 and max(ids) < self.vocab_size):
            raise ValueError(f"ids from {min(ids)} to {max(ids)}; this tokenizer has 0 to {self.vocab_size - 1}")
        return b"".join([self.vocab[i] for i in ids])

    def decode(self, ids: Iterable[int]) -> str:
        """`decode_bytes` as text. Ids cut in the middle of a character give U+FFFD there; whole texts come back."""
        return self.decode_bytes(ids).decode("utf-8", errors="replace")

    def _encode_piece(self, piece: bytes) -> list[int]:
        """Join the pair that was learned first wherever it stands, then the next; fast for long pieces too."""
        end = len(piece)
        ids = [*piece, -1]  # -1 pairs with nothing: it ends the list, stands before its first (ids[-1]), marks the lost
        after, before = list(range(1, end + 2)), list(range(-1, end))
        todo: dict[int, list[int]] = {}  # the id a merge makes -> where its pair starts
        for i, pair in enumerate(pairwise(ids)):
            if (new := self._rank.get(pair)) is not None:
                todo.setdefault(new, []).append(i)
        order = list(todo)
        heapify(order)
        while order:
            new = heappop(order)
            a, b = self.merges[new - 256]
            # From the left, as each list grew in one such round. What this round makes has a larger id and waits.
            for i in todo.pop(new):
                j = after[i]
                if ids[i] != a or ids[j] != b:
                    continue  # one of the two has been joined with another neighbour
                left, right = before[i], after[j]
                ids[i], ids[j] = new, -1
                after[i], before[right] = right, i
                for start, pair in ((left, (ids[left], new)), (i, (new, ids[right]))):
                    if (later := self._rank.get(pair)) is not None:
                        if later not in todo:
                            todo[later] = []
                            heappush(order, later)
                        todo[later].append(start)
        return [i for i in ids if i >= 0]

    def as_dict(self) -> dict:
        merges = [f"{a} {b}" for a, b in self.merges]
        return {"pattern": self.pattern, "specials": self.specials, "merges": merges, "hash": self.hash}

    def save(self, folder: Path) -> Path:
        """Write ``tokenizer.json`` into `folder`: pattern, specials, merges and hash as plain JSON."""
        path = Path(folder) / "tokenizer.json"
        paths.write_json(path, self.as_dict())
        return path

    @classmethod
    def load(cls, folder: Path) -> Tokenizer:
        """Read ``tokenizer.json`` back.

        Raises:
            ValueError: the file is damaged, or was changed since it was saved.
        """
        path = Path(folder) / "tokenizer.json"
        if not path.is_file():
            raise paths.MissingArtifact(f"{paths.relative(path)} is not there; run notebooks/02_tokenizer.ipynb first")
        data = paths.read_json(path)
        try:
            tokenizer = cls([pair.split(" ") for pair in data["merges"]], data["pattern"])
            changed = tokenizer.as_dict() != data
        except (KeyError, TypeError, AttributeError, ValueError) as error:
            raise ValueError(f"{paths.relative(path)} is damaged ({error}); run notebook 02 again") from error
        if changed:
            raise ValueError(f"{paths.relative(path)} does not match its hash: it was changed; run notebook 02 again")
        return tokenizer
