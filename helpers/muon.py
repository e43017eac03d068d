"""Muon, many matrices at a time.

`torch.optim.Muon` takes one matrix after the other. Those of a small model are so small that starting an operation
costs more than the operation; here all of one shape go through each together. The update is the same, and a test
holds the two together; notebook 12 shows what it saves.
"""

from __future__ import annotations

import torch


class Muon(torch.optim.Muon):
    """`torch.optim.Muon`: same arguments, same state, same update up to rounding.

    `dtype` is what the iteration computes in. torch's is bfloat16; a processor without instructions for that takes
    fifty times as long over it as over float32.
    """

    def __init__(self, params, *, dtype: torch.dtype = torch.bfloat16, **how):
        super().__init__(params, **how)
        self.dtype = dtype

    @torch.no_grad()
    def step(self, closure=None):
        loss = torch.enable_grad()(closure)() if closure else None
        for group in self.param_groups:
            by_shape: dict[torch.Size, list[torch.Tensor]] = {}
            for p in group["params"]:
                if p.grad is not None:
                    by_shape.setdefault(p.shape, []).append(p)
            for shape, matrices in by_shape.items():
                update = self._momentum(matrices, group)
                how = (group["ns_coefficients"], group["ns_steps"], group["eps"], self.dtype)
                update = orthogonal(torch.stack(update), *how)
                if group["weight_decay"]:
                    torch._foreach_mul_(matrices, 1 - group["lr"] * group["weight_decay"])
                ratio = torch.optim._muon._adjust_lr(1.0, group["adjust_lr_fn"], shape)
                torch._foreach_add_(matrices, list(update.to(matrices[0].dtype)), alpha=-group["lr"] * ratio)
        return loss

    def _momentum(self, matrices: list[torch.Tensor], group: dict) -> list[torch.Tensor]:
        for p in matrices:
            if "momentum_buffer" not in self.state[p]:
                self.state[p]["momentum_buffer"] = torch.zeros_like(p.grad)
        kept = [self.state[p]["momentum_buffer"] for p in matrices]
        grads = [p.grad for p in matrices]
        torch._foreach_lerp_(kept, grads, 1 - group["momentum"])
        return torch._foreach_lerp(grads, kept, group["momentum"]) if group["nesterov"] else kept


def orthogonal(
    x: torch.Tensor,
    coefficients: tuple[float, float, float],
    steps: int,
    eps: float,
    dtype: torch.dtype = torch.bfloat16,
) -> torch.Tensor:
    """(n, rows, columns) matrices with their singular values brought near 1, computed in `dtype`.

    Newton-Schulz iteration with a polynomial of degree five: x → a x + (b x xᵀ + c (x xᵀ)²) x (Jordan et al. 2024,
    https://kellerjordan.github.io/posts/muon/).
    """
    a, b, c = coefficients
    wide = x.shape[-2] <= x.shape[-1]
    x = (x if wide else x.mT).to(dtype)
    x = x / x.norm(dim=(-2, -1), keepdim=True).clamp(min=eps)  # then no singular value is above 1
    for _ in range(steps):
        gram = x @ x.mT
        x = torch.baddbmm(x, torch.baddbmm(gram, gram, gram, beta=b, alpha=c), x, beta=a)
    return x if wide else x.mT
