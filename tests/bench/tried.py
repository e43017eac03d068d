"""Three parts that `make bench ARGS=levers` tried on the fast model, and that did not pay: they live here."""

from __future__ import annotations

from dataclasses import dataclass

import torch.nn.functional as F
from torch import nn

from helpers import gpt
from helpers.gpt import fast


@dataclass(frozen=True)
class TriedConfig(gpt.FastConfig):
    qk_norm: bool = False  # Henry et al., arXiv:2010.04245
    value_embeddings: bool = False  # a table per block that is added to the values (modded-nanogpt), normal(0, 1)
    bigram: bool = False  # a V x V table, zeros: logits that follow from the last token alone


class TriedAttention(fast.Attention):
    def __init__(self, config: TriedConfig):
        super().__init__(config)
        self.values = nn.Embedding(config.vocab_size, config.n_embd) if config.value_embeddings else None

    def project(self, x):
        qk, v = super().project(x)
        if self.config.qk_norm:
            qk = fast.norm(qk)
        return qk, v if self.values is None else v + self.values(self.ids).to(v.dtype).view_as(v)


class TriedGPT(gpt.FastGPT):
    def __init__(self, config: TriedConfig):
        super().__init__(config)
        for block in self.blocks:
            block.attention = TriedAttention(config)
        self._initialise()
        for block in self.blocks:
            if config.value_embeddings:
                nn.init.normal_(block.attention.values.weight)
        self.bigram = nn.Embedding(config.vocab_size, config.vocab_size) if config.bigram else None
        if self.bigram is not None:
            nn.init.zeros_(self.bigram.weight)

    def forward(self, idx, targets=None, cache=None):
        for block in self.blocks:
            block.attention.ids = idx  # the tokens whose values are looked up
        logits, _ = super().forward(idx, cache=cache)
        if self.bigram is not None:
            logits = logits.float() + self.bigram(idx)
        return logits, None if targets is None else F.cross_entropy(logits.float().flatten(0, 1), targets.flatten())


def config(vocab_size: int, **given) -> gpt.FastConfig:
    """That of the fast model, unless one of the three is asked for."""
    asked = given.keys() & {"qk_norm", "value_embeddings", "bigram"}
    return (TriedConfig if asked else gpt.FastConfig)(vocab_size, **given)


def make(config: gpt.GPTConfig) -> nn.Module:
    """A new model of the kind that `config` is for, one with the three parts included."""
    return TriedGPT(config) if isinstance(config, TriedConfig) else gpt.make(config)
