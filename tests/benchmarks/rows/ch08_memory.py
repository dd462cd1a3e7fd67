"""Chapter 8: machines with memory, which copy `length` vectors of 8 bits.

H hidden units of the controller, R rows of W numbers, N sequences. One read head, one write head.
"""

from dataclasses import dataclass
from typing import Any

import numpy

from tests.benchmarks.rows.steps import Step, our_step, torch_step


@dataclass
class Copying:
    """float32, Adam, gradients clipped to 10.  model  NTM or DNC"""

    model: str = "NTM"
    H: int = 100
    R: int = 32
    W: int = 20
    N: int = 4
    length: int = 10

    def ours(self) -> Step:
        from ch08.dnc import DNC
        from ch08.ntm import NTM
        from common.optimizer import Adam

        made: Any = {"NTM": NTM, "DNC": DNC}[self.model]
        net = made(9, 8, self.H, memory_size=self.R, memory_width=self.W, rng=0)
        return our_step(net, Adam(), self.batches(), 10.0)

    def theirs(self) -> Step:
        import torch

        net = ntm_twin(self) if self.model == "NTM" else dnc_twin(self)
        return torch_step(net, torch.optim.Adam(net.parameters()), self.batches(), 10.0)

    def batches(self):
        """Twenty pairs x (N, T, 9), t (N, T, 8), -1 where no bit is asked for."""
        from dataset.copying import copy

        rng = numpy.random.default_rng(0)
        return [copy(rng, self.N, 8, self.length) for _ in range(20)]


def twin(size, columns):
    """What both twins share: an LSTMCell that gets x and what was read, and an affine layer.

    columns  of the controller's output that the heads take
    """
    import torch
    from torch import nn

    class Twin(nn.Module):
        def __init__(self):
            super().__init__()
            self.cell = nn.LSTMCell(9 + size.W, size.H)
            self.heads = nn.Linear(size.H, sum(columns))
            self.affine = nn.Linear(size.H + size.W, 8)

        def forward(self, xs, ts):
            N = len(xs)
            state = xs.new_zeros(N, size.H), xs.new_zeros(N, size.H)
            read, memory, ys = xs.new_zeros(N, size.W), self.empty(xs, N), []
            for x in xs.unbind(1):
                state = self.cell(torch.cat([x, read], 1), state)
                read, memory = self.access(self.heads(state[0]).split(columns, 1), *memory)
                ys.append(torch.cat([state[0], read], 1))
            scores, asked = self.affine(torch.stack(ys, 1)), ts >= 0
            bits = ts[asked].to(scores.dtype)
            return nn.functional.binary_cross_entropy_with_logits(scores[asked], bits)

        @staticmethod
        def content(memory, key, strength):
            """(N, R, W), (N, K, W), (N, K, 1) -> (N, K, R)"""
            rows = memory * (memory.square().sum(2, keepdim=True) + 1e-6).rsqrt()
            keys = key * (key.square().sum(2, keepdim=True) + 1e-6).rsqrt()
            return (strength * (keys @ rows.transpose(1, 2))).softmax(2)

    return Twin


def ntm_twin(size) -> Any:
    """The equations of `NTM`, both heads at once, as eager PyTorch; `roll` shifts."""
    import torch
    from torch.nn.functional import softplus

    W = size.W

    class Net(twin(size, [2, 2, 2, W, 6, 2 * W, W])):  # type: ignore[misc]
        def empty(self, x, N):
            weights = x.new_zeros(N, 2, size.R)
            weights[:, :, 0] = 1
            return x.new_full((N, size.R, W), 1e-6), weights

        def access(self, p, memory, w):
            strength, sharpness, gate, erase, shift, key, add = p
            new = self.content(memory, key.unflatten(1, (2, W)), softplus(strength)[:, :, None])
            w = torch.lerp(w, new, gate.sigmoid()[:, :, None])
            shift = shift.unflatten(1, (2, 3)).softmax(2)
            up, down = w.roll(-1, 2), w.roll(1, 2)
            w = shift[:, :, :1] * up + shift[:, :, 1:2] * w + shift[:, :, 2:] * down
            w = ((1 + softplus(sharpness))[:, :, None] * (w + 1e-16).log()).softmax(2)
            written = w[:, 1, :, None]
            memory = memory * (1 - written * erase.sigmoid()[:, None]) + written * add[:, None]
            return (w[:, :1] @ memory)[:, 0], (memory, w)

    return Net()


def dnc_twin(size) -> Any:
    """The equations of `DNC` as eager PyTorch."""
    import torch
    from torch.nn.functional import softplus

    W, R = size.W, size.R

    class Net(twin(size, [2, 1, 1, 1, W, 3, 2 * W, W])):  # type: ignore[misc]
        def empty(self, x, N):
            rows = [x.new_zeros(N, R) for _ in range(3)]
            return x.new_zeros(N, R, W), *rows, x.new_zeros(N, R, R), x.new_zeros(N, 1, R)

        def access(self, p, memory, usage, precedence, written, links, read):
            strength, free, allocation_gate, write_gate, erase, modes, key, add = p
            strength, key = 1 + softplus(strength)[:, :, None], key.unflatten(1, (2, W))
            usage = usage + written - usage * written
            usage = usage * (1 - free.sigmoid() * read[:, 0])
            u, order = (1e-6 + (1 - 1e-6) * usage).sort(dim=1)
            before = torch.cat([torch.ones_like(u[:, :1]), u[:, :-1].cumprod(1)], 1)
            new = torch.zeros_like(u).scatter(1, order, (1 - u) * before)
            like = self.content(memory, key[:, 1:], strength[:, 1:])[:, 0]
            written = write_gate.sigmoid() * torch.lerp(like, new, allocation_gate.sigmoid())
            w = written[:, :, None]
            memory = memory * (1 - w * erase.sigmoid()[:, None]) + w * add[:, None]
            links = (1 - w - written[:, None]) * links + w * precedence[:, None]
            links = links * (1 - torch.eye(R, device=w.device))
            precedence = (1 - written.sum(1, keepdim=True)) * precedence + written
            after, before = read @ links.transpose(1, 2), read @ links
            like = self.content(memory, key[:, :1], strength[:, :1])
            modes = modes.softmax(1)[:, None]
            read = modes @ torch.cat([before, like, after], 1)
            state = memory, usage, precedence, written, links, read
            return (read @ memory)[:, 0], state

    return Net()
