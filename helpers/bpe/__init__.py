"""Byte-level byte-pair encoding (BPE): learn, encode, decode, keep, and hand on to other libraries.

    ids 0 .. 255        the bytes: every text can be encoded, nothing is ever unknown
    ids 256 .. n-1      merges, in the order they were learned: id 256 + i joins the two ids of ``merges[i]``
    ids n and more      special tokens, here <|bos|> and <|eos|>; they have no bytes, so no text can turn into them

Method: Sennrich et al. 2016 (arXiv:1508.07909), on bytes as in GPT-2 (Radford et al. 2019).

    tokenizer = bpe.train_tokenizer(["low lower lowest"], vocab_size=261)
    tokenizer.merges                        # [(108, 111), (256, 119), (32, 257)]: lo, low, " low"
    tokenizer.encode_text("low lowest")     # [257, 258, 101, 115, 116]
    tokenizer.encode_document("low")        # [259, 257, 260]
    bpe.save_tokenizer(tokenizer, folder)   # rank file, tokenizer.json, manifest
    bpe.load_tokenizer(folder)              # the same one again
    bpe.published("gpt-4").encode_text("low lowest")    # [10516, 15821]

Files: `patterns` splits, `learn` trains, `tokenizer` encodes and decodes, `files` keeps, `ranks` reads published ones.
"""

from .files import GPT2_ALPHABET, load_tokenizer, save_tokenizer, to_tokenizers, to_transformers
from .learn import count_pieces, learn_merges, train_tokenizer
from .patterns import CL100K, GPT2, O200K, shared_characters, split_text
from .ranks import published, tiktoken_offline
from .tokenizer import Tokenizer, recover_merges

__all__ = [
    "CL100K", "GPT2", "GPT2_ALPHABET", "O200K", "Tokenizer", "count_pieces", "learn_merges", "load_tokenizer",
    "published", "recover_merges", "save_tokenizer", "shared_characters", "split_text", "tiktoken_offline",
    "to_tokenizers", "to_transformers", "train_tokenizer",
]  # fmt: skip
