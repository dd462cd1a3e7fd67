"""DNC, the differentiable neural computer: a memory that keeps track of use and of order.

N samples, D inputs, M outputs, H hidden units; R rows of W numbers, K read heads, one write head.
Source: book 8.5.3; Graves et al. 2016, https://doi.org/10.1038/nature20101.
"""

from typing import Any

from ch08.memory_model import MemoryModel, TimeMemory
from common.memory import (
    Allocation,
    ContentAddressing,
    Interpolation,
    LinkedReads,
    Read,
    TemporalLinks,
    Usage,
    Write,
)
from common.np import Array, np
from common.rng import Seed

__all__ = ["DNC", "TimeDNC"]


class TimeDNC(TimeMemory):
    """The memory and the heads of the DNC, see `TimeMemory`.   xs (N, T, D) -> ys (N, T, H + K W)

    From p come, for the write head: a key, a strength (1 + softplus), erase (sigmoid), add, and two
    gates (sigmoid); for each read head: a key, a strength (1 + softplus), a free gate (sigmoid) and
    three modes (softmax). A step:
        usage = Usage(usage, write_weights, free, read_weights)      those of the step before
        write_weights = write_gate * (allocation_gate * Allocation(usage)
                                      + (1 - allocation_gate) * ContentAddressing(memory, key))
        memory = Write(memory, write_weights, erase, add)
        links, precedence = TemporalLinks(links, precedence, write_weights)
        after, before = LinkedReads(links, read_weights)
        read_weights = modes . (before, ContentAddressing(memory, key), after)
        r = Read(memory, read_weights)
    read_weights, write_weights  of the last forward, (N, T, heads, R)
    state   output, c, memory (N, R, W), usage, precedence (N, R), links (N, R, R), write_weights
            (N, R), read_weights (N, K, R)
    Arguments and errors: see `DNC`.
    """

    kinds = (1, 4, 1)
    kept = ("memory", "usage", "precedence", "links", "written", "read")

    def __init__(
        self, D: int, H: int, *, memory: tuple[int, int], read_heads: int, **options: Any
    ) -> None:
        K, W = read_heads, memory[1]
        fields = {
            "strength": (K + 1,),
            **{"free": (K,), "allocation_gate": (1,), "write_gate": (1,), "erase": (1, W)},
            **{"modes": (K, 3), "key": (K + 1, W), "add": (1, W)},
        }
        super().__init__(D, H, fields, memory=memory, read_heads=read_heads, **options)

    def empty(self, N: int) -> dict[str, Array]:
        """Zeros, from (N, R) to (N, R, W): nothing is written, and nothing is read."""
        R, W, K = self.memory_size, self.memory_width, self.read_heads
        shapes = [(N, R, W), (N, R), (N, R), (N, R, R), (N, R), (N, K, R)]
        return {name: np.zeros(shape) for name, shape in zip(self.kept, shapes, strict=True)}

    def access(self, p: dict[str, Array], *state: Array) -> Any:
        memory, usage, precedence, links, written, read = state
        K, strength, key = self.read_heads, 1 + p["strength"], p["key"]
        usage, used = Usage.step(usage, written, p["free"], read)
        free, allocated = Allocation.step(usage)
        like, looked = ContentAddressing.step(memory, key[:, K:], strength[:, K:])
        w, mixed = Interpolation.step(free[:, None], like, p["allocation_gate"])
        w, unscaled = p["write_gate"][:, :, None] * w, w
        memory, wrote = Write.step(memory, w, p["erase"], p["add"])
        written = w[:, 0]
        links, precedence, linked = TemporalLinks.step(links, precedence, written)
        after, before, followed = LinkedReads.step(links, read)
        like, found = ContentAddressing.step(memory, key[:, :K], strength[:, :K])
        ways = np.stack([before, like, after], axis=2)
        modes = p["modes"][:, :, None]
        read = np.matmul(modes, ways)[:, :, 0]
        reads, fetched = Read.step(memory, read)
        gates = p["write_gate"][:, :, None], unscaled, modes, ways
        caches = used, allocated, looked, mixed, wrote, linked, followed, found, fetched
        state = (memory, usage, precedence, links, written, read)
        return reads, state, (gates, caches, usage)

    def access_backward(self, dreads: Array, dstate: Any, cache: Any) -> Any:
        dmemory, dusage, dprecedence, dlinks, dwritten, dread = dstate
        (write_gate, unscaled, modes, ways), caches, _ = cache
        used, allocated, looked, mixed, wrote, linked, followed, found, fetched = caches
        d, dw = Read.step_backward(dreads, fetched)
        dmemory, dread = dmemory + d, (dread + dw)[:, :, None]
        dmodes = np.matmul(dread, ways.swapaxes(2, 3))
        dways = modes.swapaxes(2, 3) * dread
        d, dkey, dstrength = ContentAddressing.step_backward(dways[:, :, 1], found)
        dmemory += d
        d, dread = LinkedReads.step_backward(dways[:, :, 2], dways[:, :, 0], followed)
        dlinks, dprecedence, d = TemporalLinks.step_backward(dlinks + d, dprecedence, linked)
        dw = (dwritten + d)[:, None]
        dmemory, d, derase, dadd = Write.step_backward(dmemory, wrote)
        dw += d
        dwrite_gate = (dw * unscaled).sum(axis=2)
        dfree, dlike, dallocation_gate = Interpolation.step_backward(write_gate * dw, mixed)
        d, dwrite_key, dwrite_strength = ContentAddressing.step_backward(dlike, looked)
        dmemory += d
        dusage = dusage + Allocation.step_backward(dfree[:, 0], allocated)
        dusage, dwritten, dreleased, d = Usage.step_backward(dusage, used)
        dstrength = np.concatenate([dstrength, dwrite_strength], axis=1)
        dkey = np.concatenate([dkey, dwrite_key], axis=1)
        dp = [dstrength, dreleased, dallocation_gate, dwrite_gate, derase, dmodes, dkey, dadd]
        return dp, [dmemory, dusage, dprecedence, dlinks, dwritten, dread + d]

    @property
    def read_weights(self) -> Array:
        """Those of the read heads in the last forward, (N, T, K, R)."""
        return np.stack([caches[-1][1] for _, caches, _ in self.cache[-1]], axis=1)

    @property
    def write_weights(self) -> Array:
        """Those of the write head in the last forward, (N, T, 1, R)."""
        return np.stack([caches[4][1] for _, caches, _ in self.cache[-1]], axis=1)

    @property
    def usage(self) -> Array:
        """How much each row was in use in the last forward, (N, T, R)."""
        return np.stack([usage for _, _, usage in self.cache[-1]], axis=1)


class DNC(MemoryModel):
    """xs (N, T, D) -> controller, heads and memory -> affine -> scores of bits (N, T, M).

    input_size, output_size      D, M
    hidden_size                  H of the controller
    memory_size, memory_width    R rows of W numbers
    read_heads                   how many; there is one write head
    controller                   lstm or feedforward
    max_dw                       where to cut off the gradients between steps, see `TimeMemory`
    rng                          a seed or NumPy Generator for the first weights; None follows
                                 NumPy's global seed
    Methods: see `BitModel` and `MemoryModel`.
    Raises ValueError for sizes below 1 and another controller.  Source: book 8.5.3.
    """

    def __init__(
        self,
        input_size: int,
        output_size: int,
        hidden_size: int = 64,
        *,
        memory_size: int = 16,
        memory_width: int = 16,
        read_heads: int = 1,
        controller: str = "lstm",
        max_dw: float | None = None,
        rng: Seed = None,
    ) -> None:
        sizes = {
            **{"input_size": input_size, "output_size": output_size, "hidden_size": hidden_size},
            **{"memory_size": memory_size, "memory_width": memory_width, "read_heads": read_heads},
        }
        options = {"controller": controller, "max_dw": max_dw}
        super().__init__(TimeDNC, sizes, options, rng)
