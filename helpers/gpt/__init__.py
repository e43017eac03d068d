"""A GPT: the model, text from it, and the same model for other libraries.

model = gpt.GPT(gpt.GPTConfig(vocab_size=2048, block_size=128, n_layer=2, n_head=4, n_embd=160))
logits, loss = model(idx, targets)
gpt.generate(model, idx, 100, temperature=0.8, top_p=0.95)
gpt.save_for_transformers(model, tokenizer, "my-model")
"""

from . import files
from .export import save_for_transformers, to_transformers
from .fast import FastConfig, FastGPT
from .files import make
from .generate import KVCache, generate, probabilities
from .model import GPT, MLP, Block, CausalSelfAttention, GPTConfig

__all__ = [
    "GPT", "MLP", "Block", "CausalSelfAttention", "FastConfig", "FastGPT", "GPTConfig", "KVCache", "files", "generate",
    "make", "probabilities", "save_for_transformers", "to_transformers",
]  # fmt: skip
