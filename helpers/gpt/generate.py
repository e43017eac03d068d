"""Text from a GPT, one token at a time: which tokens may come next, and the cache that makes it fast."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch

from .fast import FastGPT
from .model import GPT, GPTConfig


class KVCache:
    """Keys and values of the tokens so far, of every block: what attention would otherwise compute again.

    Shape of each: (n_layer, B, H, block_size, C/H), filled up to `length`. Room for a whole context is set aside at
    once: growing it token by token would copy it as often. `ids` (B, length) are the tokens themselves.
    """

    def __init__(self, config: GPTConfig, batch_size: int, device="cpu", dtype: torch.dtype = torch.float32):
        shape = (config.n_layer, batch_size, config.n_head, config.block_size, config.n_embd // config.n_head)
        self.keys = torch.empty(shape, device=device, dtype=dtype)
        self.values = torch.empty(shape, device=device, dtype=dtype)
        self.ids = torch.empty((batch_size, 0), device=device, dtype=torch.int64)

    @property
    def length(self) -> int:
        return self.ids.shape[1]

    def extend(self, idx: torch.Tensor) -> list[Callable]:
        """For each block, a function that keeps the keys and values of `idx` (B, new) and returns all there are.

        Raises:
            ValueError: several tokens after others; a prompt goes in first, then one token at a time.
        """
        start, new = self.length, idx.shape[1]
        if start and new > 1:
            raise ValueError(f"{new} tokens at once after {start}: a prompt goes in first, then one token at a time")
        self.ids = torch.cat([self.ids, idx], dim=1)

        def of(layer: int) -> Callable:
            def past(k: torch.Tensor, v: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
                self.keys[layer, :, :, start : self.length] = k  # (B, H, new, C/H)
                self.values[layer, :, :, start : self.length] = v
                return self.keys[layer, :, :, : self.length], self.values[layer, :, :, : self.length]

            return past

        return [of(layer) for layer in range(len(self.keys))]


def probabilities(
    logits: torch.Tensor, temperature: float = 1.0, top_k: int | None = None, top_p: float | None = None
) -> torch.Tensor:
    """What the next token is drawn from: (B, V) probabilities out of (B, V) logits.

    Args:
        temperature: divides the logits; below 1 the likely gets likelier; 0 leaves the likeliest token only.
        top_k: only the k likeliest (of equally likely ones at the border, all).
        top_p: only the fewest tokens whose probabilities add up to at least p (nucleus sampling, Holtzman et al.,
            arXiv:1904.09751). It comes after temperature and top_k, as in the transformers library.

    Raises:
        ValueError: names the setting, and what is allowed.
    """
    if not temperature >= 0:
        raise ValueError(f"temperature is {temperature}; it must be 0 (always the likeliest token) or more")
    if top_k is not None and top_k < 1:
        raise ValueError(f"top_k is {top_k}; it must be at least 1")
    if top_p is not None and not 0 < top_p <= 1:
        raise ValueError(f"top_p is {top_p}; it must be greater than 0 and at most 1")
    logits = logits.float()
    if temperature < torch.finfo(torch.float32).tiny:  # as a divisor it would be 0
        return torch.nn.functional.one_hot(logits.argmax(-1), logits.shape[-1]).float()
    # The largest logit becomes 0 first, so that a small temperature cannot overflow.
    logits = (logits - logits.amax(-1, keepdim=True)) / temperature
    if top_k is not None:
        kept = logits.topk(min(top_k, logits.shape[-1])).values  # (B, k), largest first
        logits = logits.masked_fill(logits < kept[:, [-1]], -math.inf)
    p = logits.softmax(-1)
    if top_p is not None and top_p < 1:  # rounding would cut the tail at 1
        ordered, places = p.sort(dim=-1, descending=True, stable=True)  # (B, V)
        enough = ordered.cumsum(-1) - ordered >= top_p  # the likelier ones alone add up to it
        p = p.masked_fill(torch.zeros_like(enough).scatter(-1, places, enough), 0.0)
        p = p / p.sum(-1, keepdim=True)
    return p


@torch.no_grad()
def generate(
    model: GPT | FastGPT,
    idx: torch.Tensor,
    max_new_tokens: int,
    *,
    temperature: float = 1.0,
    top_k: int | None = None,
    top_p: float | None = None,
    stop: int | None = None,
    generator: torch.Generator | None = None,
    cache: bool = True,
) -> torch.Tensor:
    """Continue `idx` (B, T) by drawing one token at a time; returns (B, T + max_new_tokens), or less with `stop`.

    Only the last block_size tokens are seen. Up to there the cache saves computing earlier tokens again. Beyond, the
    window moves: every token gets another position, so its keys change and everything is computed anew, cache or not.

    Args:
        temperature, top_k, top_p: see `probabilities`.
        stop: an id, say that of the end of a document; generation ends when every row has drawn it.
        generator: where chance comes from, on the device of `idx`; the same seed gives the same text.
        cache: False computes the whole context for every token, as the plain definition has it.

    Raises:
        ValueError: an impossible setting, or an empty prompt.
    """
    if idx.shape[1] < 1:
        raise ValueError("the prompt is empty; begin with the id that begins a document")
    if max_new_tokens < 0:
        raise ValueError(f"max_new_tokens is {max_new_tokens}; it must be 0 or more")
    probabilities(torch.zeros(1, 1), temperature, top_k, top_p)  # refuses what is impossible before anything is done
    block_size, was_training = model.config.block_size, model.training
    model.eval()
    kept, stopped = None, torch.zeros(len(idx), dtype=torch.bool, device=idx.device)
    try:
        for _ in range(max_new_tokens):
            context = idx[:, -block_size:]
            if not cache or idx.shape[1] > block_size:
                logits = model(context)[0]
            elif kept is None:
                kept = KVCache(model.config, len(idx), idx.device, model.tokens.weight.dtype)
                logits = model(context, cache=kept)[0]
            else:
                logits = model(idx[:, -1:], cache=kept)[0]
            p = probabilities(logits[:, -1], temperature, top_k, top_p)  # (B, V)
            following = torch.multinomial(p, 1, generator=generator)  # (B, 1)
            idx = torch.cat([idx, following], dim=1)
            stopped |= following[:, 0] == stop
            if stop is not None and stopped.all():
                break
    finally:
        model.train(was_training)
    return idx
