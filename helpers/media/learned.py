"""Tokenizers for small pictures that are trained: an encoder, a quantiser, a decoder (VQ-VAE, arXiv:1711.00937).

A quantiser is called with (..., d) vectors and gives (the vectors the decoder gets, their ids (...), its own loss).
Gradients pass it as if it were not there (*straight-through*). It has `codes` ids and a `width` d.

Letters in the shapes: B pictures, T = 4 tokens a picture, d numbers a token.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from .quantise import whole

COMMITMENT = 0.25  # weight of the loss that keeps the encoder near the codes it uses
DECAY = 0.99  # of the running means; the share that a step keeps
DEAD = 0.1  # of the average count: below, a code is dead
SMOOTHING = 1e-5  # so that a code without vectors does not divide by zero
SIDE, TOKENS, HIDDEN = 8, 4, 256  # of the autoencoder: pixels, ids a picture, width of its layers
BATCH, LEARNING_RATE = 64, 4e-3


def _check_ids(ids: torch.Tensor, codes: int) -> torch.Tensor:
    """`ids` as int64. Raises ValueError: no whole numbers (bytes would be taken for a mask), or none of the codes."""
    if ids.is_floating_point() or ids.dtype == torch.bool:
        raise ValueError(f"ids are whole numbers, not {ids.dtype}")
    ids = ids.long()
    if ids.numel() and not 0 <= int(ids.min()) <= int(ids.max()) < codes:
        raise ValueError(f"ids lie in 0..{codes - 1}, these in {int(ids.min())}..{int(ids.max())}")
    return ids


def _finite(x: torch.Tensor) -> torch.Tensor:
    if not x.isfinite().all():
        raise ValueError("there is no nearest code: the vectors or the codebook hold NaN or infinity")
    return x


class VectorQuantiser(nn.Module):
    """The nearest of `codes` entries.

    `ema`: each entry follows the running mean of the vectors that chose it (appendix A of the paper), and an entry that
    hardly any vector chooses is put on a random one (Jukebox, arXiv:2005.00341). Otherwise entries learn by gradient.
    """

    def __init__(self, codes: int, width: int, ema: bool = True):
        super().__init__()
        codes, width = whole("codes", codes), whole("width", width)
        self.codes, self.width, self.ema = codes, width, ema
        start = torch.empty(codes, width).uniform_(-1 / codes, 1 / codes)  # all near zero, as the paper's authors do
        self.codebook = nn.Parameter(start, requires_grad=not ema)  # (codes, d)
        self.register_buffer("counts", torch.zeros(codes))  # running mean of how many vectors chose each
        self.register_buffer("sums", torch.zeros(codes, width))  # running mean of their sum

    def ids(self, z: torch.Tensor) -> torch.Tensor:
        """(...) int64 ids of the nearest codes to (..., d) vectors."""
        flat = z.detach().reshape(-1, self.width)
        distance = self.codebook.square().sum(1) - 2 * flat @ self.codebook.T  # (n, codes), up to |z|²
        return _finite(distance).argmin(1).view(z.shape[:-1])

    def forward(self, z: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        ids = self.ids(z)
        chosen = self.codebook[ids]  # (..., d)
        loss = COMMITMENT * F.mse_loss(z, chosen.detach())
        if not self.ema:
            loss = loss + F.mse_loss(chosen, z.detach())
        elif self.training:
            self.follow(z.detach().reshape(-1, self.width), ids.reshape(-1))
        return z + (chosen - z).detach(), ids, loss

    def vectors(self, ids: torch.Tensor) -> torch.Tensor:
        """(..., d) of (...) ids."""
        return self.codebook[_check_ids(ids, self.codes)]

    @torch.no_grad()
    def begin(self, z: torch.Tensor, batch: int) -> None:
        """Put the codebook on some of (n, d) vectors, as if each code had its equal share of `batch` vectors."""
        self.codebook.copy_(z[torch.randperm(len(z))[: self.codes]])
        self.counts.fill_(batch / self.codes)
        self.sums.copy_(self.codebook * batch / self.codes)

    @torch.no_grad()
    def follow(self, z: torch.Tensor, ids: torch.Tensor) -> None:
        """Move the codebook towards (n, d) vectors that chose (n,) ids, and put dead codes on some of them."""
        chosen = F.one_hot(ids, self.codes).to(z.dtype)  # (n, codes)
        self.counts.lerp_(chosen.sum(0), 1 - DECAY)
        self.sums.lerp_(chosen.T @ z, 1 - DECAY)
        total = self.counts.sum()
        smoothed = (self.counts + SMOOTHING) / (total + self.codes * SMOOTHING) * total
        self.codebook.copy_(self.sums / smoothed[:, None])
        average = len(z) / self.codes
        dead = self.counts < DEAD * average
        put = z[torch.randint(len(z), (int(dead.sum()),), device=z.device)]
        self.codebook[dead], self.counts[dead], self.sums[dead] = put, average, put * average


class FSQ(nn.Module):
    """Finite scalar quantisation (Mentzer et al., arXiv:2309.15505): every number is rounded to one of a few levels.

    There is no codebook to learn, and no loss: the ids number the points of a grid.
    """

    def __init__(self, levels: tuple[int, ...]):
        super().__init__()
        levels = [whole("a number of levels", n, 2) for n in levels]
        if not levels:
            raise ValueError("there are no levels; a code has at least one number")
        self.codes, self.width = math.prod(levels), len(levels)
        self.register_buffer("levels", torch.tensor(levels))
        self.register_buffer("basis", torch.tensor([math.prod(levels[:i]) for i in range(len(levels))]))

    def bound(self, z: torch.Tensor) -> torch.Tensor:
        """(..., d) numbers that round to whole ones, as many as there are levels."""
        half = (self.levels - 1) * (1 + 1e-3) / 2  # a little more, so that tanh reaches the outer levels
        offset = torch.where(self.levels % 2 == 0, 0.5, 0.0)  # an even number of levels lies off the middle
        return torch.tanh(z + torch.atanh(offset / half)) * half - offset

    def ids(self, z: torch.Tensor) -> torch.Tensor:
        """(...) int64 ids of (..., d) vectors: the whole numbers as digits of one."""
        return ((_finite(self.bound(z)).round().long() + self.levels // 2) * self.basis).sum(-1)

    def forward(self, z: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        bounded = self.bound(z)
        whole = bounded + (bounded.round() - bounded).detach()
        return whole / (self.levels // 2), self.ids(z), z.new_zeros(())

    def vectors(self, ids: torch.Tensor) -> torch.Tensor:
        """(..., d) of (...) ids."""
        whole = _check_ids(ids, self.codes)[..., None] // self.basis % self.levels - self.levels // 2
        return whole / (self.levels // 2)


class Autoencoder(nn.Module):
    """Small grey pictures: an MLP that looks at the whole of one, a quantiser, and an MLP that draws it."""

    def __init__(self, quantiser: nn.Module):
        super().__init__()
        self.quantiser = quantiser
        self.encoder, self.decoder = (
            nn.Sequential(nn.Linear(n, HIDDEN), nn.GELU(), nn.Linear(HIDDEN, HIDDEN), nn.GELU(), nn.Linear(HIDDEN, m))
            for n, m in ((SIDE**2, TOKENS * quantiser.width), (TOKENS * quantiser.width, SIDE**2))
        )

    def look(self, images: torch.Tensor) -> torch.Tensor:
        """(B, T, d) vectors of (B, 8, 8) pictures, before they are quantised."""
        return self.encoder(images.flatten(1)).unflatten(1, (TOKENS, self.quantiser.width))

    def draw(self, vectors: torch.Tensor) -> torch.Tensor:
        """(B, 8, 8) pictures of (B, T, d) vectors."""
        return self.decoder(vectors.flatten(1)).unflatten(1, (SIDE, SIDE))

    def forward(self, images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        vectors, ids, loss = self.quantiser(self.look(images))
        return self.draw(vectors), ids, loss

    @torch.no_grad()
    def encode(self, images: np.ndarray) -> np.ndarray:
        """(B, T) int64 ids of (B, 8, 8) float32 pictures."""
        return self.quantiser.ids(self.look(_pictures(images))).numpy()

    @torch.no_grad()
    def decode(self, ids: np.ndarray) -> np.ndarray:
        """(B, 8, 8) float32 pictures in 0..1 of (B, T) ids."""
        if ids.ndim != 2 or ids.shape[1] != TOKENS:
            raise ValueError(f"a picture has {TOKENS} ids, (n, {TOKENS}); these have shape {ids.shape}")
        return self.draw(self.quantiser.vectors(torch.from_numpy(ids))).clamp(0, 1).numpy()


def _pictures(images: np.ndarray) -> torch.Tensor:
    """Raises ValueError: not (n, 8, 8) float32 pictures of finite numbers."""
    fits = images.ndim == 3 and images.shape[1:] == (SIDE, SIDE) and images.dtype == np.float32 and len(images)
    if not fits or not np.isfinite(images).all():
        raise ValueError(f"pictures are finite (n, {SIDE}, {SIDE}) float32; these are {images.dtype} {images.shape}")
    return torch.from_numpy(images)


def train_autoencoder(make: Callable[[], nn.Module], images: np.ndarray, steps: int, seed: int) -> Autoencoder:
    """An `Autoencoder` with the quantiser that `make` gives, trained on (n, 8, 8) float32 pictures in 0..1.

    The loss is the mean squared error and the quantiser's own. Weights and batches follow from the seed. A codebook
    with `ema` begins at vectors of the untrained encoder.
    """
    steps, seed = whole("steps", steps), whole("seed", seed, 0)
    data = _pictures(images)
    torch.manual_seed(seed)
    model = Autoencoder(make()).train()
    if getattr(model.quantiser, "ema", False):
        model.quantiser.begin(model.look(data).detach().flatten(0, 1), BATCH * TOKENS)
    optimizer = torch.optim.AdamW(model.parameters(), lr=LEARNING_RATE, weight_decay=0.0)
    plan = torch.optim.lr_scheduler.OneCycleLR(optimizer, LEARNING_RATE, total_steps=steps, pct_start=0.05)
    for _ in range(steps):
        batch = data[torch.randint(len(data), (BATCH,))]
        again, _, loss = model(batch)
        (F.mse_loss(again, batch) + loss).backward()
        optimizer.step()
        optimizer.zero_grad()
        plan.step()
    return model.eval()
