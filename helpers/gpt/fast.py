"""The fast GPT: `model.GPT` with what later work has found, each piece with a switch of its own.

    ids → token embedding + those of the tokens before → norm → n_layer blocks → norm → head → logits

Beside `model.py`, from top to bottom: a norm without scales; queries and keys that are turned by their position
(RoPE) instead of positions that are added; ReLU² instead of GELU; a head of its own; a start at which no block adds
anything. With every switch off it computes what `model.GPT` does (a test holds them together). What each is worth,
in tokens and in seconds, is measured by `make bench ARGS=levers` and shown in notebook 12.

    parameter                      initialisation
    token embedding                normal(0, 1)                    its norm comes right after
    tables of earlier tokens       normal(0, 1/2)
    attention qkv, MLP up          uniform, standard deviation 1 / sqrt(C)
    attention out, MLP down, head  0 (`zero_init`)

Letters in the shape comments: B sequences in a batch, T tokens in a sequence, C = n_embd, H = n_head, V = vocab_size.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import nn

from .model import GPTConfig

LONGEST_WRITTEN_OUT = 512  # tokens; beyond, the T x T weights take more memory than they save time


@dataclass(frozen=True)
class FastConfig(GPTConfig):
    """The shape of the model, and its switches.

    `previous` tables hold an embedding of the token one, two, … places back, added to that of the token itself: what
    the first block would have to find out by attention (Bengio et al. 2003; as hashed pairs in modded-nanogpt).

    Raises:
        ValueError: for an impossible value, with what is allowed.
    """

    rope: bool = True  # rotary positions (Su et al., arXiv:2104.09864); off: a table of positions, added
    relu2: bool = True  # So et al., arXiv:2109.08668; off: GELU
    zero_init: bool = True  # as in the table above; off: GPT-2's, with normal(0, 0.02) inputs
    untied: bool = True  # a head of its own, and a norm after the embedding; off: the embedding is the head
    previous: int = 3

    def __post_init__(self):
        super().__post_init__()
        for name in ("rope", "relu2", "zero_init", "untied"):
            if not isinstance(getattr(self, name), bool):
                raise ValueError(f"{name} is {getattr(self, name)!r}; it must be True or False")
        if isinstance(self.previous, bool) or not isinstance(self.previous, int) or self.previous < 0:
            raise ValueError(f"previous is {self.previous!r}; it must be a whole number of at least 0")
        if self.rope and (self.n_embd // self.n_head) % 2:
            raise ValueError(
                f"n_embd / n_head is {self.n_embd // self.n_head}; RoPE turns numbers in pairs, so it must be even"
            )


def norm(x: torch.Tensor) -> torch.Tensor:
    """Mean 0, variance 1 along the last dimension. No scale: the matrix that comes next can have it."""
    return F.layer_norm(x, x.shape[-1:])


def rotate(x: torch.Tensor, cos: torch.Tensor, sin: torch.Tensor) -> torch.Tensor:
    """Turn the pairs (first half, second half) of the last dimension by the angles of their positions."""
    a, b = x.chunk(2, dim=-1)
    return torch.cat((a * cos - b * sin, b * cos + a * sin), dim=-1)


def attend(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
    """Causal attention of (B, H, T, C/H) queries, keys and values; returns the same shape.

    In bfloat16 on a CPU the backward pass of torch's flash kernel is slow, so there the T x T weights are written out
    (`make bench ARGS=levers` times both); everywhere else `scaled_dot_product_attention` chooses.
    """
    B, H, T, D = q.shape
    learning = q.requires_grad and k.shape[-2] == T  # there is a backward pass, and no cache
    if not (learning and q.device.type == "cpu" and q.dtype == torch.bfloat16 and T <= LONGEST_WRITTEN_OUT):
        # A single new token may look at everything there is; several must not look ahead of themselves.
        return F.scaled_dot_product_attention(q, k, v, is_causal=T > 1)
    q, k, v = (x.reshape(B * H, T, D) for x in (q, k, v))
    ahead = torch.full((T, T), -math.inf, dtype=q.dtype).triu(1)
    weights = torch.baddbmm(ahead.expand(B * H, T, T), q, k.mT, alpha=D**-0.5).softmax(-1)  # (B H, T, T)
    return torch.bmm(weights.to(v.dtype), v).view(B, H, T, D)


class Dropout(nn.Module):
    """`nn.Dropout`, with eight masks out of one draw where chance is slow: on a CPU numbers are drawn one by one.

    An element is dropped when its random byte is below 256 p, so p is rounded to 256ths there; what is kept grows by
    just as much as the rounded share that is dropped.
    """

    def __init__(self, p: float):
        super().__init__()
        self.p = p

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if not self.training or not self.p or x.device.type != "cpu":
            return F.dropout(x, self.p, self.training)
        dropped = min(255, round(256 * self.p))
        draws = torch.empty(-(-x.numel() // 8), dtype=torch.int64).random_(-(2**63), None)  # all 64 bits
        kept = draws.view(torch.uint8)[: x.numel()].view(x.shape) >= dropped
        return x * kept.to(x.dtype).mul_(256 / (256 - dropped))


class Attention(nn.Module):
    def __init__(self, config: FastConfig):
        super().__init__()
        self.config = config
        self.qkv = nn.Linear(config.n_embd, 3 * config.n_embd, bias=False)
        self.out = nn.Linear(config.n_embd, config.n_embd, bias=False)

    def project(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Queries and keys, (B, T, 2, H, C/H), which go together through the same operations; and values."""
        B, T, _ = x.shape
        heads = self.qkv(x).view(B, T, 3, self.config.n_head, -1)  # (B, T, 3, H, C/H)
        return heads[:, :, :2], heads[:, :, 2]

    def forward(self, x: torch.Tensor, turn, past=None) -> torch.Tensor:
        B, T, C = x.shape
        qk, v = self.project(x)
        if turn is not None:
            qk = rotate(qk, *turn)
        q, k, v = (x.transpose(1, 2) for x in (*qk.unbind(2), v))  # each (B, H, T, C/H)
        if past is not None:
            k, v = past(k, v)  # (B, H, earlier + T, C/H)
        return self.out(attend(q, k, v).transpose(1, 2).reshape(B, T, C))  # (B, T, C)


class MLP(nn.Module):
    def __init__(self, config: FastConfig):
        super().__init__()
        self.relu2 = config.relu2
        self.up = nn.Linear(config.n_embd, 4 * config.n_embd, bias=False)
        self.down = nn.Linear(4 * config.n_embd, config.n_embd, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.up(x)  # (B, T, 4C)
        return self.down(F.relu(x).square() if self.relu2 else F.gelu(x))  # (B, T, C)


class Block(nn.Module):
    def __init__(self, config: FastConfig):
        super().__init__()
        self.attention = Attention(config)
        self.mlp = MLP(config)
        self.dropout = Dropout(config.dropout)

    def forward(self, x: torch.Tensor, turn, past=None) -> torch.Tensor:
        x = x + self.dropout(self.attention(norm(x), turn, past))  # (B, T, C)
        return x + self.dropout(self.mlp(norm(x)))  # (B, T, C)


class FastGPT(nn.Module):
    def __init__(self, config: FastConfig):
        super().__init__()
        self.config = config
        V, C, T = config.vocab_size, config.n_embd, config.block_size
        self.tokens = nn.Embedding(V, C)
        self.before = nn.ModuleList(nn.Embedding(V, C) for _ in range(config.previous))
        self.positions = None if config.rope else nn.Embedding(T, C)
        self.dropout = Dropout(config.dropout)
        self.blocks = nn.ModuleList(Block(config) for _ in range(config.n_layer))
        self.head = nn.Linear(C, V, bias=False)
        if not config.untied:
            self.head.weight = self.tokens.weight
        self._initialise()
        if config.rope:
            half = C // config.n_head // 2
            speeds = 10_000.0 ** (-torch.arange(half) / half)  # radians a token: 1, and down to nearly 1/10,000
            angles = torch.outer(torch.arange(T), speeds)[:, None, None]  # (T, 1, 1, C/H/2): for (B, T, 2, H, C/H)
            self.register_buffer("cos", angles.cos(), persistent=False)
            self.register_buffer("sin", angles.sin(), persistent=False)

    def _initialise(self) -> None:
        config = self.config
        wide = 1.0 if config.untied else 0.02
        for name, p in self.named_parameters():
            summed = name.endswith(("attention.out.weight", "mlp.down.weight"))
            if config.zero_init and (summed or name == "head.weight"):
                nn.init.zeros_(p)
            elif name.startswith(("tokens.", "positions.")):
                nn.init.normal_(p, std=wide)
            elif name.startswith("before."):
                nn.init.normal_(p, std=wide / 2)
            elif config.zero_init:
                nn.init.uniform_(p, -math.sqrt(3 / config.n_embd), math.sqrt(3 / config.n_embd))
            else:
                nn.init.normal_(p, std=0.02 / math.sqrt(2 * config.n_layer) if summed else 0.02)

    def forward(self, idx: torch.Tensor, targets: torch.Tensor | None = None, cache=None):
        """Logits for the token after each position, and their mean cross-entropy.

        Args:
            idx: (B, T) int64 token ids; with those in the cache at most block_size.
            targets: (B, T) int64 ids of the tokens that really came next.
            cache: a `generate.KVCache` that holds what came before `idx`, and keeps what `idx` adds.

        Returns:
            logits (B, T, V), and the loss in nats per token (None without targets).
        """
        config, T, start = self.config, idx.shape[1], cache.length if cache else 0
        if start + T > config.block_size:
            raise ValueError(f"{start + T} tokens are longer than block_size {config.block_size}; cut the context")
        pasts = cache.extend(idx) if cache else [None] * config.n_layer
        x = self.tokens(idx)  # (B, T, C)
        for back, table in enumerate(self.before, start=1):
            x = x + earlier(table, cache.ids if cache else idx, back, T)
        if self.positions is not None:
            x = x + self.positions.weight[start : start + T]
        if config.untied:
            x = norm(x)
        if torch.is_autocast_enabled(idx.device.type):  # the residual stream, too: it halves what the blocks move
            x = x.to(torch.get_autocast_dtype(idx.device.type))
        x = self.dropout(x)
        turn = [angle[start : start + T].to(x.dtype) for angle in (self.cos, self.sin)] if config.rope else None
        for block, past in zip(self.blocks, pasts, strict=True):
            x = block(x, turn, past)  # (B, T, C)
        logits = self.head(norm(x))  # (B, T, V)
        return logits, None if targets is None else F.cross_entropy(logits.float().flatten(0, 1), targets.flatten())


def earlier(table: nn.Embedding, ids: torch.Tensor, back: int, T: int) -> torch.Tensor:
    """(B, T, C) rows of `table` for the tokens `back` places before the last T of `ids`; zeros before the first."""
    rows = table(ids[:, :-back][:, -T:])
    return F.pad(rows, (0, 0, T - rows.shape[1], 0))
