"""A space of 256 small GPTs, and one network that holds them all and can mix them (DARTS, arXiv:1806.09055).

Sizes are nested: the narrow model is the first channels of the wide one, the shallow one its first blocks; channel c
belongs to head c % n_head. So the supernet with its decisions made computes what that architecture alone computes with
the same weights (a test holds them together). Norms have no scales; all weights begin as normal(0, 0.02).

Letters in the shape comments: B sequences, T tokens, C channels, H heads, D = C / H, V = vocab_size.
"""

from types import SimpleNamespace

import torch
import torch.nn.functional as F
from torch import nn

SPACE = {
    "n_layer": (1, 2), "n_embd": (48, 96), "n_head": (2, 4), "mlp_ratio": (2, 4), "activation": ("GELU", "ReLU²"),
    "norm": ("LayerNorm", "RMSNorm"), "positions": ("learned", "rotary"), "head": ("tied", "own"),
}  # fmt: skip


def bits(number: int) -> tuple[int, ...]:
    """Which of its two answers each decision of architecture `number` has, in the order of SPACE."""
    return tuple(int(number) >> place & 1 for place in range(len(SPACE)))


def blend(weights, first, second):
    """What two answers give, weighted; of plain 0 and 1 only the one that counts is computed."""
    a, b = weights
    if torch.is_tensor(a):
        return a * first() + b * second()
    return second() if b else first()


class Net(nn.Module):
    """One architecture (`answers`, a bit for each decision of SPACE), or without them the supernet.

    `mix` has a pair of weights for each decision: (1, 0), (0, 1), or tensors that add up to 1.
    """

    def __init__(self, vocab_size: int, block_size: int, answers: tuple[int, ...] | None = None):
        super().__init__()
        largest = answers or (1,) * len(SPACE)
        depth, C, _, ratio = [options[bit] for options, bit in zip(SPACE.values(), largest, strict=True)][:4]
        self.config, self.width, self.shared = SimpleNamespace(block_size=block_size), C, answers is None
        self.choose(largest)
        self.tokens = nn.Embedding(vocab_size, C)
        self.positions = nn.Embedding(block_size, C) if self.shared or not largest[6] else None
        self.head = nn.Linear(C, vocab_size, bias=False) if largest[7] else None
        shapes = {"qkv": (C, 3 * C), "out": (C, C), "up": (C, ratio * C), "down": (ratio * C, C)}
        self.blocks = nn.ModuleList(
            nn.ModuleDict({name: nn.Linear(*shape, bias=False) for name, shape in shapes.items()}) for _ in range(depth)
        )
        for p in self.parameters():
            nn.init.normal_(p, std=0.02)
        angles = torch.outer(torch.arange(block_size), 10_000.0 ** (-torch.arange(24) / 24))  # (T, pairs of a head)
        self.register_buffer("turn", torch.stack((angles.cos(), angles.sin())), persistent=False)

    def choose(self, answers: tuple[int, ...]) -> None:
        self.mix = [(1 - bit, bit) for bit in answers]

    def forward(self, idx: torch.Tensor, targets: torch.Tensor | None = None):
        """Logits (B, T, V) for what follows each of the ids (B, T), and their mean cross-entropy in nats."""
        self.live, self.n, hidden = 1, self.width, 1
        if self.shared:  # (C,) and (ratio C,): how far each channel is there; and how many there are
            wide = list(zip(SPACE["n_embd"], self.mix[1], strict=True))
            self.live, self.n = opened(wide, self.width)
            ratios = zip(SPACE["mlp_ratio"], self.mix[3], strict=True)
            sizes = [(ratio * size, part * weight) for ratio, part in ratios for size, weight in wide]
            hidden, _ = opened(sizes, self.blocks[0]["up"].out_features)
        tokens = self.tokens(idx) * self.live  # (B, T, C)
        x = blend(self.mix[6], lambda: tokens + self.positions.weight[: idx.shape[1]] * self.live, lambda: tokens)
        for i, block in enumerate(self.blocks):
            on = 1 if i < SPACE["n_layer"][0] else self.mix[0][1]
            if not on:
                break
            x = x + on * self.live * block["out"](self._attention(block["qkv"](self._norm(x))))
            up = block["up"](self._norm(x))
            bent = blend(self.mix[4], lambda up=up: F.gelu(up), lambda up=up: F.relu(up).square())
            x = x + on * self.live * block["down"](bent * hidden)
        x = self._norm(x)
        logits = blend(self.mix[7], lambda: F.linear(x, self.tokens.weight), lambda: self.head(x))
        return logits, None if targets is None else F.cross_entropy(logits.flatten(0, 1), targets.flatten())

    def _norm(self, x):
        def layer():
            if not self.shared:
                return F.layer_norm(x, x.shape[-1:])
            centred = (x - x.sum(-1, keepdim=True) / self.n) * self.live
            return centred * (centred.square().sum(-1, keepdim=True) / self.n + 1e-5).rsqrt()

        return blend(self.mix[5], layer, lambda: x * (x.square().sum(-1, keepdim=True) / self.n + 1e-5).rsqrt())

    def _attention(self, qkv):
        def heads(H):
            q, k, v = (qkv.unflatten(-1, (3, -1)) * self.live).unflatten(-1, (-1, H)).permute(2, 0, 4, 1, 3)
            q = q * (self.n / H) ** -0.5  # each (B, H, T, D)

            def attend(q, k):
                return F.scaled_dot_product_attention(q, k, v, is_causal=True, scale=1.0)

            y = blend(self.mix[6], lambda: attend(q, k), lambda: attend(*(rotate(z, self.turn) for z in (q, k))))
            return y.permute(0, 2, 3, 1).flatten(2)  # (B, T, C)

        return blend(self.mix[2], *(lambda H=H: heads(H) for H in SPACE["n_head"]))


def opened(sizes: list[tuple], largest: int):
    """(largest,): the weights, added up, of all sizes that have this channel; and how many channels that makes."""
    live = sum(weight * (torch.arange(largest) < size) for size, weight in sizes)
    return live, live.sum()


def rotate(x: torch.Tensor, turn: torch.Tensor) -> torch.Tensor:
    """Turn neighbours in the last dimension of x (B, H, T, D) by the angles of their positions (RoPE)."""
    cos, sin = turn[:, : x.shape[-2], : x.shape[-1] // 2]  # each (T, D/2)
    a, b = x[..., 0::2], x[..., 1::2]
    return torch.stack((a * cos - b * sin, b * cos + a * sin), dim=-1).flatten(-2)
