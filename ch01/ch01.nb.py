# %% [markdown]
# # Chapter 1: neural networks in review
#
# A network is a row of layers. Each layer turns its input into an output, and, on the way back,
# what the loss says about its output into what it says about its input and its weights. This
# notebook asks whether that is right, and then lets a network of two layers learn a spiral.
#
# In a cell, `?` shows what something does (`Affine?`), and `??` its source.

# %%
import subprocess
import sys
from importlib.util import find_spec

REPOSITORY = "https://github.com/<owner>/dlfs2"  # put its address here

sys.path.append("..")  # in a clone, the library is above this folder
if find_spec("common") is None:  # on Colab, for example
    subprocess.run([sys.executable, "-m", "pip", "install", "-q", f"git+{REPOSITORY}"], check=True)

# %% [markdown]
# ## What does a network compute?
#
# Ten points go through a network of two layers: `Affine` multiplies by a matrix and adds a bias,
# `Sigmoid` between them bends, and the second `Affine` gives three scores. (Book 1.2.)

# %%
from common.layers import Affine, Sigmoid
from common.rng import generator, randn

rng = generator(0)
x = randn(rng, 10, 2)
layers = [
    Affine(randn(rng, 2, 4), randn(rng, 4)),
    Sigmoid(),
    Affine(randn(rng, 4, 3), randn(rng, 3)),
]
y = x
for layer in layers:
    y = layer.forward(y)
    print(layer, "->", y.shape)

# %% [markdown]
# Without the sigmoid in the middle, the two matrices could be multiplied into one: what bends is
# what makes two layers more than one.

# %%
from ch01.figures import plot_sigmoid, plot_tangent

_ = plot_sigmoid()

# %% [markdown]
# ## Which way is down?
#
# A gradient tells how much an output changes with an input. For $y = x^2$ the slope at $x$ is
# $2x$, here found by a branch and a multiplication that pass the slope back. (Book 1.3.)

# %%
_ = plot_tangent(at=1.0)

# %% [markdown]
# The line touches the curve in one point and has its direction there: for a small step, it is as
# good as the curve.
#
# ## Are the gradients right?
#
# Nudge each number a little, see how far the output moves, and compare with what `backward` says.

# %%
from common.gradient_check import check_gradients

x64 = randn(rng, 5, 2, dtype="float64")
affine = Affine(randn(rng, 2, 3, dtype="float64"), randn(rng, 3, dtype="float64"))
errors = check_gradients(affine, x64)

# %% [markdown]
# All errors are far below $10^{-6}$: the formulas of `backward` are those of the slope.
#
# ## Where does the formula for the sigmoid come from?
#
# `Sigmoid` computes its gradient from its output alone, as $y(1-y)$. A graph of four nodes shows
# why: from the right, the gradient is multiplied by $-y^2$, passed on, multiplied by $e^{-x}$, and
# by $-1$. (Book appendix A.)

# %%
import numpy

from ch01.figures import plot_derivation
from ch01.graph_nodes import sigmoid_graph

graph = sigmoid_graph()
plot_derivation(graph, "fig_a_6_sigmoid.png", at=1.0)

# %%
x = numpy.linspace(-6, 6, 101)
y = graph.forward(x)
print("largest difference:", abs(graph.backward(numpy.ones_like(x)) - y * (1 - y)).max())

# %% [markdown]
# $y^2 e^{-x}$ is the same as $y(1-y)$. The tanh, $(e^x - e^{-x}) / (e^x + e^{-x})$, needs more
# nodes. Two of them take $e^{-x}$, and its gradient is the sum of what comes back from both.

# %%
from ch01.graph_nodes import tanh_graph

graph = tanh_graph()
plot_derivation(graph, "fig_a_7_tanh.png", at=1.0)
y = graph.forward(x)
print("largest difference:", abs(graph.backward(numpy.ones_like(x)) - (1 - y**2)).max())

# %% [markdown]
# The slope of the tanh is $1 - y^2$: 1 in the middle, where that of the sigmoid is 0.25.
#
# ## What is there to learn?
#
# Three classes of points, wound around each other so that no straight line tells them apart.
# (Book 1.4.1.)

# %%
from ch01.show_spiral_dataset import main as show_spiral

show_spiral()

# %% [markdown]
# ## Does it learn?
#
# Thirty points at a time, the loss, its gradients, a small step against them; three hundred times
# through the data. (Book 1.4.4.)

# %%
from ch01.train_custom_loop import plot_regions
from ch01.two_layer_net import TwoLayerNet, accuracy
from common.optimizer import SGD
from common.trainer import Trainer
from dataset import spiral

x, t = spiral.load_data()
model = TwoLayerNet(input_size=2, hidden_size=10, output_size=3, rng=0)
trainer = Trainer(model, SGD(lr=1.0))
trainer.fit(x, t, max_epoch=300, batch_size=30, eval_interval=None, rng=0)
print(model)
print("accuracy", accuracy(model, x, t))

# %%
_ = plot_regions(model, x, t)

# %% [markdown]
# The regions follow the arms of the spiral, though each hidden neuron only draws one soft line.
#
# ## How large should a step be?
#
# The loss as the training went, for three learning rates.

# %%
import matplotlib.pyplot as plt

for lr in (0.1, 1.0, 3.0):
    model = TwoLayerNet(input_size=2, hidden_size=10, output_size=3, rng=0)
    trainer = Trainer(model, SGD(lr))
    trainer.fit(x, t, max_epoch=300, batch_size=30, eval_interval=10, rng=0, verbose=False)
    plt.plot(trainer.loss_list, label=f"lr = {lr:g}")
plt.xlabel("epoch")
plt.ylabel("loss")
plt.legend()
plt.show()

# %% [markdown]
# Steps ten times smaller need a hundred epochs to leave the first plateau, and end on the second;
# three times larger ones arrive sooner, and jump about.
