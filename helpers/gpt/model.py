"""A GPT: the decoder-only transformer, in the shape of GPT-2 and nanoGPT.

    ids → token embedding + position embedding → n_layer blocks → norm → head → logits

A block is pre-norm: ``x = x + attention(norm(x))``, then ``x = x + mlp(norm(x))``. There are no biases, and the head
shares its matrix with the token embedding: at a vocabulary of thousands that matrix is a large part of a small model,
and each of its rows is trained from both ends.

    parameter                      initialisation (GPT-2)
    token, position embedding      normal(0, 0.02)
    attention qkv, MLP up          normal(0, 0.02)
    attention out, MLP down        normal(0, 0.02 / sqrt(2 n_layer)): 2 n_layer of these are summed in the residual
    norms                          1

Letters in the shape comments: B sequences in a batch, T tokens in a sequence, C = n_embd, H = n_head, V = vocab_size.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import nn

LARGEST = 2**20  # of every size: what is beyond was never meant, and must not take memory


@dataclass(frozen=True)
class GPTConfig:
    """Everything that fixes the shape of the model.

    `dropout` acts on the embeddings and on what each attention and MLP adds to the residual stream. It does not act on
    the attention weights: on a CPU that would rule the flash kernel out and write T x T weights to memory.

    Raises:
        ValueError: for an impossible value, with what is allowed.
    """

    vocab_size: int
    block_size: int  # longest context, in tokens
    n_layer: int
    n_head: int
    n_embd: int
    dropout: float = 0.0

    def __post_init__(self):
        for name in ("vocab_size", "block_size", "n_layer", "n_head", "n_embd"):
            value = getattr(self, name)
            if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= LARGEST:
                raise ValueError(f"{name} is {value!r}; it must be a whole number of at least 1, at most {LARGEST:,}")
        if self.n_embd % self.n_head:
            allowed = [h for h in range(1, self.n_embd + 1) if self.n_embd % h == 0]
            raise ValueError(
                f"n_head is {self.n_head}, which does not divide n_embd {self.n_embd}; "
                f"n_head must be one of {', '.join(map(str, allowed))}"
            )
        if not isinstance(self.dropout, (int, float)) or not 0 <= self.dropout < 1:
            raise ValueError(f"dropout is {self.dropout!r}; it must be at least 0 and less than 1")


class CausalSelfAttention(nn.Module):
    """Every position gathers from itself and earlier positions, in n_head independent ways."""

    def __init__(self, config: GPTConfig):
        super().__init__()
        self.n_head = config.n_head
        self.qkv = nn.Linear(config.n_embd, 3 * config.n_embd, bias=False)
        self.out = nn.Linear(config.n_embd, config.n_embd, bias=False)

    def forward(self, x: torch.Tensor, past=None) -> torch.Tensor:
        B, T, C = x.shape
        heads = self.qkv(x).view(B, T, 3, self.n_head, C // self.n_head)  # (B, T, 3, H, C/H)
        q, k, v = heads.permute(2, 0, 3, 1, 4)  # each (B, H, T, C/H)
        if past is not None:
            k, v = past(k, v)  # (B, H, earlier + T, C/H)
        # A single new token may look at everything there is; several must not look ahead of themselves.
        y = F.scaled_dot_product_attention(q, k, v, is_causal=T > 1)  # (B, H, T, C/H)
        return self.out(y.transpose(1, 2).reshape(B, T, C))  # (B, T, C)


class MLP(nn.Module):
    """What a position computes on its own: up to 4 C, a bend, back to C."""

    def __init__(self, config: GPTConfig):
        super().__init__()
        self.up = nn.Linear(config.n_embd, 4 * config.n_embd, bias=False)
        self.down = nn.Linear(4 * config.n_embd, config.n_embd, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.down(F.gelu(self.up(x)))  # (B, T, C) → (B, T, 4C) → (B, T, C)


class Block(nn.Module):
    def __init__(self, config: GPTConfig):
        super().__init__()
        self.norm1 = nn.LayerNorm(config.n_embd, bias=False)
        self.attention = CausalSelfAttention(config)
        self.norm2 = nn.LayerNorm(config.n_embd, bias=False)
        self.mlp = MLP(config)
        self.dropout = nn.Dropout(config.dropout)

    def forward(self, x: torch.Tensor, past=None) -> torch.Tensor:
        x = x + self.dropout(self.attention(self.norm1(x), past))  # (B, T, C)
        return x + self.dropout(self.mlp(self.norm2(x)))  # (B, T, C)


class GPT(nn.Module):
    def __init__(self, config: GPTConfig):
        super().__init__()
        self.config = config
        self.tokens = nn.Embedding(config.vocab_size, config.n_embd)
        self.positions = nn.Embedding(config.block_size, config.n_embd)
        self.dropout = nn.Dropout(config.dropout)
        self.blocks = nn.ModuleList(Block(config) for _ in range(config.n_layer))
        self.norm = nn.LayerNorm(config.n_embd, bias=False)
        for name, parameter in self.named_parameters():
            if parameter.ndim == 2:
                summed = name.endswith(("attention.out.weight", "mlp.down.weight"))
                nn.init.normal_(parameter, std=0.02 / math.sqrt(2 * config.n_layer) if summed else 0.02)

    def forward(self, idx: torch.Tensor, targets: torch.Tensor | None = None, cache=None):
        """Logits for the token after each position, and their mean cross-entropy.

        Args:
            idx: (B, T) int64 token ids; with those in the cache at most block_size.
            targets: (B, T) int64 ids of the tokens that really came next.
            cache: a `generate.KVCache` that holds what came before `idx`, and keeps what `idx` adds.

        Returns:
            logits (B, T, V), and the loss in nats per token (None without targets).
        """
        T, start = idx.shape[1], cache.length if cache else 0
        if start + T > self.config.block_size:
            raise ValueError(f"{start + T} tokens are longer than block_size {self.config.block_size}; cut the context")
        x = self.tokens(idx) + self.positions.weight[start : start + T]  # (B, T, C)
        x = self.dropout(x)
        pasts = cache.extend(idx) if cache else [None] * self.config.n_layer
        for block, past in zip(self.blocks, pasts, strict=True):
            x = block(x, past)  # (B, T, C)
        logits = F.linear(self.norm(x), self.tokens.weight)  # (B, T, V)
        if targets is None:
            return logits, None
        return logits, F.cross_entropy(logits.float().flatten(0, 1), targets.flatten())

    def parameters_by_group(self) -> dict[str, int]:
        """Number of parameters per group, in the order of the forward pass."""

        def count(names: str) -> int:
            return sum(p.numel() for name, p in self.named_parameters() if names in name)

        groups = {
            "token embedding (and head)": count("tokens."),
            "position embedding": count("positions."),
            "attention": count(".attention."),
            "MLP": count(".mlp."),
            "norms": count("norm"),
        }
        total = sum(p.numel() for p in self.parameters())
        if sum(groups.values()) != total:
            raise AssertionError(f"the groups add up to {sum(groups.values()):,}, the model has {total:,} parameters")
        return groups
