"""NTM, the neural Turing machine: a controller whose heads find rows by content and by place.

N samples, D inputs, M outputs, H hidden units; R rows of W numbers, K heads, S shifts.
Source: book 8.5.3; Graves et al. 2014, https://arxiv.org/abs/1410.5401.
"""

from typing import Any

from ch08.memory_model import MemoryModel, TimeMemory
from common.memory import (
    CircularShift,
    ContentAddressing,
    Interpolation,
    Read,
    Sharpening,
    Write,
    check_shifts,
)
from common.np import Array, np
from common.rng import Seed

__all__ = ["NTM", "TimeNTM"]

FIRST = 1e-6  # what all of the memory holds at the start of a sequence


class TimeNTM(TimeMemory):
    """The memory and the heads of the NTM, see `TimeMemory`.   xs (N, T, D) -> ys (N, T, H + K W)

    A head gets from p a key, a strength (softplus), a gate (sigmoid), a shift (softmax) and a
    sharpness (1 + softplus), and finds its weights w (N, R) in four steps:
        w = ContentAddressing(memory, key, strength)
        w = Interpolation(w, the head's w of the step before, gate)
        w = CircularShift(w, shift)
        w = Sharpening(w, sharpness)
    All heads look at the memory of the step before. Then the write heads write, with erase
    (sigmoid) and add, and the read heads read what is there now.
    read_weights, write_weights  of the last forward, (N, T, heads, R)
    state   output, c, memory (N, R, W) and weights (N, K, R), of which the read heads come first
    Arguments and errors: see `NTM`.
    """

    kinds = (2, 2, 1)
    kept = ("memory", "weights")

    def __init__(
        self,
        D: int,
        H: int,
        *,
        memory: tuple[int, int],
        read_heads: int,
        write_heads: int,
        shifts: int,
        focused: bool,
        **options: Any,
    ) -> None:
        check_shifts("NTM", memory[0], shifts)
        K, W, written = read_heads + write_heads, memory[1], (write_heads, memory[1])
        fields = {
            **{"strength": (K,), "sharpness": (K,), "gate": (K,), "erase": written},
            **{"shift": (K, shifts), "key": (K, W), "add": written},
        }
        super().__init__(D, H, fields, memory=memory, read_heads=read_heads, **options)
        self.heads, self.focused = K, focused

    def empty(self, N: int) -> dict[str, Array]:
        """A memory of 1e-6 everywhere (N, R, W), and the first weights of all heads (N, K, R)."""
        R, W = self.memory_size, self.memory_width
        weights = np.full((N, self.heads, R), 0 if self.focused else 1 / R)
        if self.focused:
            weights[:, :, 0] = 1
        return {"memory": np.full((N, R, W), FIRST), "weights": weights}

    def access(self, p: dict[str, Array], memory: Array, weights: Array) -> Any:
        K = self.read_heads
        w, content = ContentAddressing.step(memory, p["key"], p["strength"])
        w, mixed = Interpolation.step(w, weights, p["gate"])
        w, shifted = CircularShift.step(w, p["shift"])
        w, sharpened = Sharpening.step(w, 1 + p["sharpness"])
        memory, written = Write.step(memory, w[:, K:], p["erase"], p["add"])
        reads, read = Read.step(memory, w[:, :K])
        return reads, [memory, w], (content, mixed, shifted, sharpened, written, read)

    def access_backward(self, dreads: Array, dstate: Any, cache: Any) -> Any:
        content, mixed, shifted, sharpened, written, read = cache
        dmemory, dweights = dstate
        dnew, dread = Read.step_backward(dreads, read)
        dmemory, dwrite, derase, dadd = Write.step_backward(dmemory + dnew, written)
        dw = dweights + np.concatenate([dread, dwrite], axis=1)
        dw, dsharpness = Sharpening.step_backward(dw, sharpened)
        dw, dshift = CircularShift.step_backward(dw, shifted)
        dw, dweights, dgate = Interpolation.step_backward(dw, mixed)
        dlooked, dkey, dstrength = ContentAddressing.step_backward(dw, content)
        dmemory += dlooked
        return [dstrength, dsharpness, dgate, derase, dshift, dkey, dadd], [dmemory, dweights]

    @property
    def weights(self) -> Array:
        """The weights of all heads in the last forward, (N, T, K, R); the read heads come first."""
        return np.stack([heads[3][3] for heads in self.cache[-1]], axis=1)

    @property
    def read_weights(self) -> Array:
        """Those of the read heads, (N, T, K, R)."""
        return self.weights[:, :, : self.read_heads]

    @property
    def write_weights(self) -> Array:
        """Those of the write heads, (N, T, K, R)."""
        return self.weights[:, :, self.read_heads :]


class NTM(MemoryModel):
    """xs (N, T, D) -> controller, heads and memory -> affine -> scores of bits (N, T, M).

    input_size, output_size      D, M
    hidden_size                  H of the controller
    memory_size, memory_width    R rows of W numbers
    read_heads, write_heads      how many heads
    shifts                       how many rows a head may move by: 3 for -1, 0 and 1
    controller                   lstm or feedforward
    focused                      whether all heads begin on the first row, or else on all alike
    max_dw                       where to cut off the gradients between steps, see `TimeMemory`
    rng                          a seed or NumPy Generator for the first weights; None follows
                                 NumPy's global seed
    Methods: see `BitModel` and `MemoryModel`.
    Raises ValueError for sizes below 1, a memory smaller than the shifts, an even number of shifts
    and another controller.  Source: book 8.5.3.
    """

    def __init__(
        self,
        input_size: int,
        output_size: int,
        hidden_size: int = 100,
        *,
        memory_size: int = 32,
        memory_width: int = 20,
        read_heads: int = 1,
        write_heads: int = 1,
        shifts: int = 3,
        controller: str = "lstm",
        focused: bool = True,
        max_dw: float | None = None,
        rng: Seed = None,
    ) -> None:
        sizes = {
            **{"input_size": input_size, "output_size": output_size, "hidden_size": hidden_size},
            **{"memory_size": memory_size, "memory_width": memory_width},
            **{"read_heads": read_heads, "write_heads": write_heads, "shifts": shifts},
        }
        options = {"controller": controller, "focused": focused, "max_dw": max_dw}
        super().__init__(TimeNTM, sizes, options, rng)
