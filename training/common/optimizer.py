"""AdamW, with Muon for the hidden matrices; every step runs on the device alone, so that a CUDA graph can hold it."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn

_MOMENTUM = 0.95
_CLIP = 1.0


class Optimizer:
    """One learning rate, a tensor on the device that the caller sets, for both kinds of parameters.

    Muon orthogonalises the momentum of each matrix (Jordan et al. 2024), scaled so that its steps are as large as
    AdamW's (Liu et al. 2025, "Muon is scalable for LLM training": 0.2 times the root of the longer side).
    """

    def __init__(
        self, matrices: Iterable[nn.Parameter], others: Iterable[nn.Parameter], weight_decay: float = 0.02
    ) -> None:
        self.others = list(others)
        self.groups = _by_shape(matrices)
        self.parameters = [*self.others, *(parameter for group in self.groups for parameter in group)]
        device = self.parameters[0].device
        self.rate = torch.zeros((), device=device)
        self.weight_decay = weight_decay
        self.momenta = [torch.zeros(len(group), *group[0].shape, device=device) for group in self.groups]
        on_gpu = device.type == "cuda"
        self.adam = torch.optim.AdamW(
            self.others,
            lr=self.rate,
            betas=(0.9, 0.98),
            weight_decay=weight_decay,
            capturable=on_gpu,
            foreach=False,
            fused=on_gpu,
        )
        for parameter in self.parameters:
            parameter.grad = torch.zeros_like(parameter)

    @torch.no_grad()
    def step(self) -> None:
        """Take one step along the gradients, their norm clipped to 1, and set them to zero."""
        gradients = [parameter.grad for parameter in self.parameters if parameter.grad is not None]
        norm = torch.stack(torch._foreach_norm(gradients)).norm()
        torch._foreach_mul_(gradients, (_CLIP / (norm + 1e-6)).clamp(max=1.0))
        self.adam.step()
        for group, momentum in zip(self.groups, self.momenta, strict=True):
            gradient = torch.stack([parameter.grad for parameter in group if parameter.grad is not None])
            momentum.lerp_(gradient, 1 - _MOMENTUM)
            update = orthogonalized(gradient.lerp(momentum, _MOMENTUM))
            step = update * (-0.2 * max(gradient.shape[1:]) ** 0.5 * self.rate)
            torch._foreach_mul_(group, 1 - self.rate * self.weight_decay)
            torch._foreach_add_(group, list(step.unbind()))
        torch._foreach_zero_(gradients)

    def state_dict(self) -> dict[str, object]:
        """What resuming needs."""
        return {"adam": self.adam.state_dict(), "momenta": self.momenta}

    def load_state_dict(self, state: dict[str, object]) -> None:
        """Take up a saved state; the learning rate stays the caller's to set."""
        self.adam.load_state_dict(state["adam"])
        for group in self.adam.param_groups:
            group["lr"] = self.rate
        for momentum, saved in zip(self.momenta, state["momenta"], strict=True):  # type: ignore[call-overload]
            momentum.copy_(saved)


def orthogonalized(matrices: Tensor) -> Tensor:
    """Matrices [N, a, b] with all singular values brought near 1: Muon's quintic Newton-Schulz iteration, 5 steps.

    In bfloat16 on a GPU, as Muon does it; in float32 on a CPU, where bfloat16 is slow.
    """
    states = matrices.to(torch.bfloat16 if matrices.is_cuda else torch.float32)
    states = states / (states.norm(dim=(-2, -1), keepdim=True) + 1e-7)
    tall = states.shape[-2] > states.shape[-1]
    if tall:
        states = states.mT
    for _ in range(5):
        square = states @ states.mT
        states = 3.4445 * states + (-4.7750 * square + 2.0315 * square @ square) @ states
    return (states.mT if tall else states).to(matrices.dtype)


def _by_shape(matrices: Iterable[nn.Parameter]) -> list[list[nn.Parameter]]:
    groups: dict[torch.Size, list[nn.Parameter]] = {}
    for matrix in matrices:
        groups.setdefault(matrix.shape, []).append(matrix)
    return list(groups.values())
