# %% [markdown]
# # Machines with memory
#
# An LSTM keeps all it knows in one state. The machines of this notebook have a memory of rows, and
# heads that write and read there. How does a head find a row? What does a trained machine do with
# its memory, and when does it fail? (Book 8.5.3.)
#
# In a cell, `?` shows what something does (`ContentAddressing?`), and `??` its source.

# %%
import subprocess
import sys
from importlib.util import find_spec

REPOSITORY = "https://github.com/<owner>/dlfs2"  # put its address here

sys.path.append("..")  # in a clone, the library is above this folder
if find_spec("common") is None:  # on Colab, for example
    subprocess.run([sys.executable, "-m", "pip", "install", "-q", f"git+{REPOSITORY}"], check=True)

# %% [markdown]
# ## How does a head find a row?
#
# A memory of eight rows. The third and the sixth are alike.

# %%
import matplotlib.pyplot as plt
import numpy

from common.memory import CircularShift, ContentAddressing, Interpolation, Sharpening

memory = numpy.random.default_rng(0).standard_normal((1, 8, 4))
memory[0, 5] = memory[0, 2] + 0.3


def one(*numbers):
    """One sample, one head."""
    return numpy.array([[numbers]], "d")


# %% [markdown]
# By content: the weights are a softmax over the cosines of a key with all rows, times a strength.
# A weak key is spread over rows that are somewhat like it, a strong one picks the row itself.

# %%
key = memory[:, 2:3]
for strength in (1, 5, 50):
    w = ContentAddressing().forward(memory, key, one(strength)[0])
    print(f"strength {strength:2}:", w[0, 0].round(2))

# %% [markdown]
# By place: a gate mixes the weights found by content with where the head was before, a shift moves
# them, and sharpening undoes what a soft shift has spread. Each panel is one step, top to bottom.

# %%
before = one(0, 0, 0, 0, 0, 0, 1, 0)  # the head was on the seventh row
content = ContentAddressing().forward(memory, key, one(5)[0])
gated = Interpolation().forward(content, before, one(0.1)[0])
shifted = CircularShift().forward(gated, one(0.1, 0.1, 0.8))
sharp = Sharpening().forward(shifted, one(4)[0])
steps = {"content": content, "gate 0.1": gated, "shift by +1": shifted, "sharpness 4": sharp}
_, axes = plt.subplots(1, 4, figsize=(9, 2), sharey=True, layout="constrained")
for ax, (name, w) in zip(axes, steps.items(), strict=True):
    ax.bar(range(8), w[0, 0])
    ax.set_title(name)
plt.show()

# %% [markdown]
# The gate was nearly closed, so the head stayed near where it was, and moved on by one row. With
# the gate open it would have jumped to the rows that are like the key.
#
# ## What does a trained machine do with its memory?
#
# The shipped NTM was trained to copy up to 20 vectors of eight bits. Time runs to the right: the
# vectors come in, then a delimiter, then nothing, while the machine answers.

# %%
from pathlib import Path

import ch08
from ch08.show_memory import plot_heads
from common.base_model import load_model
from dataset.copying import TASKS, wrong_bits

copy = TASKS["copy"]
weights = Path(ch08.__file__).parent / "weights"
ntm = load_model(weights / "NTM_copy.npz")
x, t = copy.test(0, 1, 20)
print(plot_heads(ntm, x, t, "heads.png"), "bits wrong")

# %% [markdown]
# It wrote each vector to a row of its own, one row after the other, and read the rows in the same
# order. Nobody told it to: this is what gradients found.
#
# ## When does it fail?
#
# No weight depends on the number of rows. So the machine can have a larger memory than it was
# trained with, and copy what is longer than all it has seen. Wrong bits, the mean of 10 sequences:

# %%
for rows in (32, 160):
    machine = ntm.with_memory(rows)
    for length in (20, 30, 40, 80, 120):
        x, t = copy.test(1, 10, length)
        wrong = wrong_bits(machine.predict(x), t).mean()
        print(f"{rows:3} rows, length {length:3}: {wrong:6.1f} of {8 * length} bits")

# %% [markdown]
# With 32 rows, more than about 30 vectors cannot be kept: the write head comes round to the first
# rows and erases what is there. With 160 rows the same weights copy several times the longest
# sequence of training.

# %%
x, t = copy.test(1, 1, 40)
print(plot_heads(ntm, x, t, "heads.png"), "bits wrong")

# %% [markdown]
# ## A machine that remembers the order
#
# The DNC has no shift. It writes where little is in use, and keeps links from each row to the one
# that was written next.

# %%
dnc = load_model(weights / "DNC_copy.npz")
x, t = copy.test(0, 1, 10)
print(plot_heads(dnc, x, t, "heads.png"), "bits wrong")

# %% [markdown]
# The rows follow no order, and the read head finds them again by the links.
#
# ## Training a tiny one
#
# Vectors of three bits, one to four of them, and a memory of six rows. `StreamTrainer` takes
# batches that are made as they are needed.

# %%
from dataclasses import replace

from ch08.ntm import NTM
from common.optimizer import Adam
from common.trainer import StreamTrainer

tiny = replace(copy, bits=3, high=(4,))
machine = NTM(tiny.input_size, tiny.output_size, 30, memory_size=6, memory_width=6, rng=0)
trainer = StreamTrainer(machine, Adam(0.005, beta2=0.95))
history = trainer.fit(
    lambda step: tiny.batch(0, step, 8), 1500, max_epoch=1, eval_interval=50, verbose=False
)
plt.plot([row["step"] * 8 for row in history[:-1]], trainer.reports)
plt.xlabel("sequences")
plt.ylabel("loss (nats per bit)")
plt.show()
x, t = tiny.test(0, 100, 4)
print(f"{wrong_bits(machine.predict(x), t).mean():.2f} of 12 bits wrong")
