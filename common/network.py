"""The tree: layers, networks made of layers, and what is done to every layer of a network.

N samples. A layer declares what others need to know of it: its parameters and their names, its
children, its state, its random generator. Whatever concerns all layers of a network is a walk of
that tree, written once here: `reset_state`, `select`, `train`, `astype`, `states`, `named_params`,
`repr`. So a new kind of layer needs no change anywhere else.
"""

import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from copy import deepcopy
from reprlib import recursive_repr
from textwrap import indent
from types import MappingProxyType
from typing import Any

import numpy
from numpy.typing import DTypeLike

from common.checks import REAL, checked_ids, described, is_number
from common.cores.parallel import threads
from common.gradients import RowSparse, distinct, layout, owner
from common.np import Array, np

__all__ = [
    "NOTHING",
    "Layer",
    "Network",
    "Residual",
    "States",
    "arguments_of",
    "attributes",
    "children_of",
    "declared",
    "evaluating",
    "evaluation_options",
    "flattened",
    "generators",
    "is_array",
    "named_params",
    "param_names",
    "set_states",
    "states",
    "twin_of",
    "walk",
    "with_state",
]

NOTHING: Mapping[str, Any] = MappingProxyType({})
NO_WEIGHTS = numpy.matrix, numpy.ma.MaskedArray  # whose products are others

Place = tuple[Any, str | int]
"""Where an array is: a list and its index there, or an object and the name of the attribute."""

States = dict[str, dict[str, Array]]
"""The arrays (N, ...) of every layer with a state, by the path of the layer and their names."""


class Layer:
    """What all layers share: the parameters given, by reference, and zero gradients like them.

    Layer(W=W, b=b) names its parameters; Layer(W, b) leaves them without names.

    params, grads  arrays of any shape, which go together by position
    names          of the parameters, which the repr shows: Affine(W (100, 10000), b (10000,))
    children       the layers that this one is made of, by name, as declared by `hold`
    settings       numbers and texts that the constructor was given; the repr shows a layer's
    state          arrays (N, ...) kept from call to call, by name, None before the first call. They
                   are replaced, never written into. `set_state` takes them as keywords
    y_shape        shape of the last output, None before the first forward; `forward` sets it, and
                   `backward` takes gradients of this shape only, see `_check_gradient`
    train_flg      whether the layer is in training, which matters to dropout; see `train`
    rng            the random generator that `forward` draws from; None if it draws nothing
    divisible      whether copies may share the work on a batch (`DataParallel`): what comes out for
                   a sample does not depend on the others
    """

    names: Sequence[str] = ()
    children: Mapping[str, "Layer"] | None = NOTHING
    settings: Mapping[str, Any] = NOTHING
    y_shape: tuple[int, ...] | None = None
    train_flg: bool = True
    rng: Any = None
    divisible: bool = True

    def __init__(self, *params: Array, **named: Array) -> None:
        threads()  # keeps BLAS on one thread from now on
        self.names = list(named)
        self.params: list[Array] = [*params, *named.values()]
        for p in self.params:
            if not (is_array(p) and p.dtype.kind == "f") or isinstance(p, NO_WEIGHTS):
                raise self._refuse(f"parameters are arrays of floats, not {described(p)}")
        self.grads: list[Any] = [zero_gradient(p) for p in self.params]

    def hold(self, **children: Any) -> None:
        """Declare what this layer is made of, and take over its parameters and gradients.

        Raises ValueError for a layer that is declared twice: its second forward would overwrite
        what the first one keeps for backward.
        """
        place: dict[int, str] = {}
        for name, child in children.items():
            for path, layer in walk(child, name):
                key = id(layer.thing if isinstance(layer, Undeclared) else layer)
                if place.setdefault(key, path) != path:
                    raise self._refuse(f"{path} is declared twice, as {place[key]} as well")
        parts = self.children = children
        self.names = [name for c in parts.values() if isinstance(c, Layer) for name in c.names]
        self.params = [p for part in parts.values() for p in listed(part, "params")]
        self.grads = [g for part in parts.values() for g in listed(part, "grads")]

    @property
    def state(self) -> Mapping[str, Array]:
        """The arrays (N, ...) that this layer keeps, without those of its children."""
        return NOTHING

    def set_state(self, *args: Any, **arrays: Any) -> None:
        """Start the next call from these arrays (N, ...), given by name."""

    def output_size(self, size: int | None) -> int | None:
        """The width of the output for an input of this width; None where it is not known.

        Raises ValueError if the layer takes another width.
        """
        return None

    def reset_state(self) -> None:
        """Forget what all layers from here on down keep: the next call starts anew.

        A layer below with a `reset_state` of its own is asked to.
        """
        for _, layer in walk(self):
            thing = layer.thing if isinstance(layer, Undeclared) else layer
            if thing is not self and own_reset(thing):
                thing.reset_state()
            elif layer.state:
                layer.set_state(**dict.fromkeys(layer.state))

    def select(self, rows: Array) -> None:
        """Go on with these rows (M,) of the batch, in this order; a row may come more than once.

        Concerns the state of all layers from here on down.
        Raises ValueError for rows out of range; nothing has changed then.
        """
        for layer in with_state(self):
            for a in layer.state.values():
                if a is not None:
                    rows = checked_ids(f"{type(layer).__name__}.select", rows, len(a))
        on_device = np.asarray(rows)
        change_states(self, lambda a: a[rows if isinstance(a, numpy.ndarray) else on_device])

    def replica(self) -> Any:
        """A copy that shares the weights and nothing else, and begins anew: one for each thread."""
        copy = twin_of(self)
        copy.reset_state()
        return copy

    def train(self, on: bool = True) -> None:
        """Set the mode of all layers from here on down: training, or not."""
        for _, layer in walk(self):
            layer.set_mode(on)

    def set_mode(self, on: bool) -> None:
        """Set `train_flg` of this layer alone."""
        self.train_flg = on

    def astype(self, dtype: DTypeLike) -> Any:
        """Replace all weights by copies of this dtype, gradients by zeros -> self.

        For example model.astype("float64"), before a gradient check. Shared weights stay shared.
        Call it on a whole model: arrays that somebody else holds, such as an optimizer or a network
        around this one, are not those of the model any more.
        Raises ValueError for a dtype that is no float's, before anything has changed.
        """
        if numpy.dtype(dtype).kind != "f":
            raise self._refuse(f"weights are floats, not {dtype}")
        layers = [layer for _, layer in walk(self)]
        new, first = dict[int, Any](), dict[int, tuple[Array, Array]]()
        for p in (p for layer in layers for p in layer.params):
            if id(owner(p)) not in first:
                first[id(owner(p))] = p, p.astype(dtype)
            known, copy = first[id(owner(p))]
            if layout(p) != layout(known) and layout(p.T) != layout(known):
                raise self._refuse(f"a weight {p.shape} shares a part of another, {known.shape}")
            new.setdefault(id(p), copy if layout(p) == layout(known) else copy.T)
        for p, g in ((p, g) for layer in layers for p, g in zip(layer.params, layer.grads)):  # noqa: B905
            q, sparse = new[id(p)], isinstance(g, RowSparse)
            new.setdefault(id(g), RowSparse(q.shape, q.dtype) if sparse else zero_gradient(q))
        lists = {id(held): held for layer in layers for held in (layer.params, layer.grads)}
        for held in lists.values():  # each once, since layers may share a list
            held[:] = [new.get(id(a), a) for a in held]
        for layer in layers:
            layer.rebind(new)
        change_states(self, lambda a: a.astype(dtype) if a.dtype.kind == "f" else a)
        return self

    def rebind(self, new: Mapping[int, Array]) -> None:
        """Called by `astype` with the new arrays, of any shape, by the `id` of the old ones."""

    def __getstate__(self) -> dict[str, Any]:
        """What copies and pickles are made of: the attributes, and which arrays are the same one.

        Otherwise an array and its transposed view would be copied apart, and tied weights would be
        tied no more. For joblib, an array in two lists is two arrays.
        """
        return attributes(self) | {"_sharing": sharing(self)}

    def __setstate__(self, state: dict[str, Any]) -> None:
        shared = state.pop("_sharing", [])  # none where a class has a `__getstate__` of its own
        attributes(self).update(state)
        share_again(shared)

    def __repr__(self) -> str:
        return describe(self)

    def _weights(self) -> list[Array]:
        """`params`, arrays of any shape, if they are of the library in use: begins a `forward`."""
        if self.params and not isinstance(self.params[0], np.ndarray):
            made_of = type(self.params[0]).__module__.partition(".")[0]
            raise TypeError(
                f"{type(self).__name__}: the weights are arrays of {made_of}, and {np.__name__} is "
                "in use: set config.GPU, or DLFS2_GPU, before a model is made"
            )
        return self.params

    def _check_gradient(self, dy: Array) -> None:
        """Refuse what is no gradient of the last output: the first line of a `backward`."""
        try:
            if dy.shape == self.y_shape and dy.dtype.kind in REAL:
                return
        except AttributeError:  # it is no array
            pass
        if self.y_shape is None:
            raise self._refuse("backward needs a forward first")
        if self.y_shape != () or not is_number(dy):
            raise self._refuse(
                f"the gradient must be an array of floats of shape {self.y_shape}, like the last "
                f"output, not {described(dy)}"
            )

    def _loss_factor(self, dout: Any) -> float:
        """The gradient of a loss as a number: the first line of the `backward` of a loss layer."""
        if type(dout) not in (int, float) or self.y_shape is None:
            self._check_gradient(dout)
        return float(dout)

    def _refuse(self, problem: str) -> ValueError:
        return ValueError(f"{type(self).__name__}: {problem}")


class Network(Layer):
    """Layers in a row, each one's output the next one's input; or parts that a subclass connects.

    forward:   x = layer.forward(x), from the first layer to the last
    backward:  dy = layer.backward(dy), from the last to the first

    layers  the row
    parts   further children, by name, which are not in the row, such as a loss layer. A network
            without a row has a `forward` and a `backward` of its own
    params, grads  those of all children, in this order

    The repr shows the number of parameters, shared ones once, and a line for each layer:

        Rnnlm: 2,090,400 parameters, float32
          TimeEmbedding(W (10000, 100))
          TimeLSTM(Wx (100, 400), Wh (100, 400), b (400,))
          TimeAffine(W (100, 10000), b (10000,))

    Raises ValueError for a layer that is declared twice, and for a row of layers whose sizes do not
    follow from one another.
    """

    children: Mapping[str, Layer] | None = None  # until __init__ declares them

    def __init__(self, layers: Sequence[Any] = (), **parts: Any) -> None:
        self.layers = list(layers)
        children = {str(k): layer for k, layer in enumerate(layers)} | parts
        self.params, self.grads = [], []
        if children:  # else attributes may follow, in a model typed from the book
            self.hold(**children)
        self.output_size(None)

    def forward(self, x: Array) -> Array:
        """x (N, ...) -> what the last layer makes of it."""
        for layer in self.layers:
            x = layer.forward(x)
        return x

    def backward(self, dy: Array) -> Array:
        """The gradient of the output -> that of x, of any shape; fills `grads`."""
        for layer in reversed(self.layers):
            dy = layer.backward(dy)
        return dy

    def output_size(self, size: int | None) -> int | None:
        """The width after the last layer, if all of them tell."""
        for k, layer in enumerate(self.layers):
            try:
                size = layer.output_size(size) if isinstance(layer, Layer) else None
            except ValueError as error:
                raise self._refuse(f"layer {k}: {error}") from None
        return size if self.layers else None

    @recursive_repr()
    def __repr__(self) -> str:
        arrays = distinct([p for p in listed(self, "params") if hasattr(p, "base")])
        dtypes = sorted({str(p.dtype) for p in arrays})
        title = ", ".join([f"{sum(p.size for p in arrays):,} parameters", *dtypes])
        row = {id(layer) for layer in listed(self, "layers")}
        shown = [part for part in children_of(self).values() if id(part) in row or has_params(part)]
        lines = [repr(part) if isinstance(part, Layer) else describe(part) for part in shown]
        return "\n".join([f"{type(self).__name__}: {title}", *(indent(a, "  ") for a in lines)])


class Residual(Network):
    """y = x + f(x), f the layers in a row.   Backward: dx = dy + f.backward(dy).

    Raises ValueError where f(x) is not of the shape of x.
    Source: book 8.4.3; He et al. 2016, https://arxiv.org/abs/1512.03385.
    """

    def forward(self, x: Array) -> Array:
        y = super().forward(x)
        if y.shape != x.shape:
            raise self._refuse(f"the layers make {y.shape} of {x.shape}; x cannot be added")
        return x + y

    def backward(self, dy: Array) -> Array:
        return dy + super().backward(dy)

    def output_size(self, size: int | None) -> int | None:
        """The width of the input, which is that of the output."""
        inside = super().output_size(size)
        if None not in (size, inside) and size != inside:
            raise self._refuse(f"the layers make {inside} numbers of {size}; x cannot be added")
        return size if inside is None else inside


def walk(model: Any, path: str = "") -> Iterator[tuple[str, Layer]]:
    """The layers of a model with their paths, parents first: ("encoder.lstm", TimeLSTM(...)).

    Every layer comes once. The path of the model itself is the one given.
    """
    waiting, seen = [(path, model)], set[int]()
    while waiting:
        path, layer = waiting.pop()
        if id(layer) in seen:
            continue
        seen.add(id(layer))
        yield path, declared(layer)
        inside = children_of(layer).items()
        waiting += [(f"{path}.{name}".lstrip("."), child) for name, child in reversed([*inside])]


def with_state(model: Any) -> list[Layer]:
    """The layers of a model that keep arrays from call to call."""
    return [layer for _, layer in walk(model) if layer.state]


def states(model: Any) -> States:
    """What all layers of a model keep: the arrays themselves, which no layer writes into."""
    return {path: dict(layer.state) for path, layer in walk(model) if layer.state}


def set_states(model: Any, kept: States) -> None:
    """Go on from what `states` returned.

    Raises ValueError for the states of another model, before anything has changed.
    """
    layers = dict(walk(model))
    declaring = {path for path, layer in layers.items() if not isinstance(layer, Undeclared)}
    here, there = names_in(states(model)), names_in(kept)
    if {*there} - {*layers} or any(here.get(p) != there.get(p) for p in declaring):
        raise ValueError(f"set_states: the model keeps {here}, the states given are {there}")
    for path, arrays in kept.items():
        layers[path].set_state(**arrays)


def change_states(model: Any, change: Callable[[Array], Array]) -> None:
    """Replace every array (N, ...) that the layers keep by what `change` makes of it."""
    layers = with_state(model)
    changed = [
        {name: None if a is None else change(a) for name, a in layer.state.items()}
        for layer in layers
    ]
    for layer, arrays in zip(layers, changed, strict=True):
        layer.set_state(**arrays)


def twin_of(model: Any) -> Any:
    """A copy of a model, ours or typed, that shares the weights and nothing else."""
    return deepcopy(model, {id(p): p for p in model.params})


def names_in(kept: States) -> dict[str, list[str]]:
    """The names of the arrays, of any shape, by layer."""
    return {path: [*arrays] for path, arrays in kept.items()}


def generators(model: Any) -> list[numpy.random.Generator]:
    """NumPy's random generators that the layers of a model draw from, each once.

    CuPy's are left out: they give away no state.
    """
    found = [rng for _, layer in walk(model) for rng in drawn_from(layer)]
    return list({id(rng): rng for rng in found}.values())


@contextmanager
def evaluating(model: Any) -> Iterator[None]:
    """Within it no layer of the model is in training; afterwards each is in its mode again."""
    before = [(layer, layer.train_flg) for _, layer in walk(model)]
    for layer, _ in before:
        layer.set_mode(False)
    try:
        yield
    finally:
        for layer, train_flg in before:
            layer.set_mode(train_flg)


def param_names(model: Any) -> list[str]:
    """A name for each entry of `params`: path and name, such as encoder.lstm.Wx.

    params[0], params[1], ... where layers leave them without names, or the tree does not tell all.
    """
    names, found = list[str](), list[Array]()
    for path, layer in walk(model):
        if not any(has_params(child) for child in children_of(layer).values()):
            labels = layer.names
            if len(labels) != len(layer.params):
                labels = [f"params[{k}]" for k in range(len(layer.params))]
            names += [f"{path}.{label}".lstrip(".") for label in labels]
            found += layer.params
    if [id(p) for p in found] != [id(p) for p in model.params]:
        return [f"params[{k}]" for k in range(len(model.params))]
    return names


def named_params(model: Any) -> dict[str, Array]:
    """The parameters of a model, arrays of any shape, by name: of shared ones the first."""
    once: dict[int, tuple[str, Array]] = {}
    for name, p in zip(param_names(model), model.params, strict=True):
        once.setdefault(id(owner(p)), (name, p))
    return dict(once.values())


def describe(layer: Any) -> str:
    """Class, parameters and settings of a layer: Affine(W (100, 10000), b (10000,)).

    Reads what is there and nothing else: no array is touched, and of a layer whose `__init__`
    failed the class is left.
    """
    shapes = [str(getattr(p, "shape", "?")) for p in listed(layer, "params")]
    if isinstance(layer, Layer) and len(layer.names) == len(shapes):
        shapes = [f"{name} {shape}" for name, shape in zip(layer.names, shapes, strict=True)]
    settings = layer.settings if isinstance(layer, Layer) else NOTHING
    shown = [f"{name}={value}" for name, value in settings.items()]
    return f"{type(layer).__name__}({', '.join([*shapes, *shown])})"


def zero_gradient(p: Array) -> Array:
    """Zeros like p, any shape, in the order of C; of Fortran if p is a transposed view of all of W.

    Such a view is a tied weight: in the same order, its gradient is added to that of W faster.
    """
    order = "F" if p.flags.f_contiguous and not p.flags.c_contiguous else "C"
    return np.zeros(p.shape, p.dtype, order=order)


# --- Models and layers typed from the book, which declare nothing --------------------------------
# The only place that looks through attributes: children, state and generators of such an object are
# what it holds.


class Undeclared(Layer):
    """What stands for an object that declares nothing; here its attributes are looked through.

    Its state, if it has a `reset_state` and inherits nothing of ours: all attributes that are
    arrays, of any shape, or None, but for its parameters. (What inherits `BaseModel` is a model,
    whose layers have the state.)
    """

    def __init__(self, thing: Any) -> None:
        self.thing = thing
        self.settings = getattr(thing, "settings", NOTHING)
        says_so = getattr(thing, "divisible", False)  # nobody else knows what it does
        self.divisible = says_so and not drawn_from(self)  # parts would draw the same numbers
        self.params, self.grads = listed(thing, "params"), listed(thing, "grads")
        self.train_flg = getattr(thing, "train_flg", True)

    @property
    def children(self) -> Mapping[str, Any]:
        """The layers among its attributes, or in a list, tuple or dictionary that is one."""
        found: dict[int, tuple[str, Any]] = {}
        for name, value in attributes(self.thing).items():
            for path, part in flattened(name, value):
                if looks_like_a_layer(part):
                    found.setdefault(id(part), (path.removeprefix("layers."), part))
        return dict(found.values())

    @property
    def state(self) -> Mapping[str, Array]:
        """The arrays, of any shape, that it keeps."""
        if isinstance(self.thing, Layer) or not own_reset(self.thing):
            return NOTHING
        own = {id(owner(p)) for p in self.params if is_array(p)}
        return {
            name: value
            for name, value in attributes(self.thing).items()
            if value is None or (is_array(value) and id(owner(value)) not in own)
        }

    def set_state(self, **arrays: Array) -> None:
        """Put them back: arrays of any shape."""
        attributes(self.thing).update(arrays)

    def rebind(self, new: Mapping[int, Array]) -> None:
        """Put the new arrays, of any shape, where the old ones are attributes."""
        held = attributes(self.thing)
        held.update({name: new[id(a)] for name, a in held.items() if is_array(a) and id(a) in new})

    def set_mode(self, on: bool) -> None:
        """Set `train_flg` where it has one."""
        self.train_flg = on
        if hasattr(self.thing, "train_flg"):
            self.thing.train_flg = on


def places(model: Any) -> Iterator[Place]:
    """Where a model and its parts have arrays."""
    waiting, seen = [model], set[int]()
    while waiting:
        thing = waiting.pop()
        if id(thing) not in seen:
            seen.add(id(thing))
            held = attributes(thing)
            yield from ((thing, name) for name, a in held.items() if is_array(a))
            for part in held.values():
                if isinstance(part, list):
                    yield from ((part, k) for k, a in enumerate(part) if is_array(a))
            waiting += Undeclared(thing).children.values()


def contents(holder: Any) -> Any:
    """What the key of a place belongs to."""
    return holder if isinstance(holder, list) else attributes(holder)


def sharing(model: Any) -> list[tuple[Place, Place, bool]]:
    """Places with the memory of an earlier one: (place, the earlier one, if as its transpose)."""
    first, found = dict[int, tuple[Place, Array]](), list[tuple[Place, Place, bool]]()
    for holder, key in places(model):
        a = contents(holder)[key]
        earlier, b = first.setdefault(id(owner(a)), ((holder, key), a))
        same = (a.dtype, layout(a)) == (b.dtype, layout(b))
        if same or (a.dtype, layout(a.T)) == (b.dtype, layout(b)):
            found.append(((holder, key), earlier, not same))
    return found


def share_again(shared: list[tuple[Place, Place, bool]]) -> None:
    """Let the arrays of a copied model share memory as those of the model do, see `sharing`."""
    turned_views = dict[int, Array]()
    for (holder, key), (other, k), turned in shared:
        with suppress(LookupError):  # a layer that holds this one is not whole yet: its turn comes
            held, first = contents(holder), contents(other)[k]
            view = first.T if owner(held[key]) is not owner(first) else held[key]
            held[key] = turned_views.setdefault(id(first), view) if turned else first


def declared(thing: Any) -> Layer:
    """The layer itself, or what stands for an object that declares nothing.

    So it is with a network whose parameters are not those of its children any more: a class typed
    from the book may call our `__init__`, put other parts in their place and list its parameters.
    """
    if not isinstance(thing, Layer) or thing.children is None:
        return Undeclared(thing)
    if isinstance(thing, Network):
        theirs = [id(p) for child in thing.children.values() for p in listed(child, "params")]
        if theirs != [id(p) for p in listed(thing, "params")]:
            return Undeclared(thing)
    return thing


def children_of(thing: Any) -> Mapping[str, Any]:
    """The children of a layer, by name, declared or not."""
    return declared(thing).children or NOTHING


def flattened(name: str, value: Any) -> Iterator[tuple[str, Any]]:
    """A value, or all those in a list, tuple or dictionary, each with its path."""
    if isinstance(value, list | tuple | dict):
        pairs = value.items() if isinstance(value, dict) else enumerate(value)
        for key, part in pairs:
            yield from flattened(f"{name}.{key}", part)
    else:
        yield name, value


def drawn_from(layer: Layer) -> list[numpy.random.Generator]:
    """NumPy's random generators that a layer itself holds."""
    held: list[Any] = [layer.rng]
    if isinstance(layer, Undeclared):
        for name, value in attributes(layer.thing).items():
            held += [part for _, part in flattened(name, value)]
    return [rng for rng in held if isinstance(rng, numpy.random.Generator)]


def evaluation_options(model: Any) -> dict[str, bool]:
    """What the `forward` of a model must be told so that nothing is dropped: the book's train_flg.

    A model of the book sets the mode of its layers by this argument, at every call.
    """
    return {"train_flg": False} if "train_flg" in arguments_of(model.forward) else {}


def arguments_of(function: Callable[..., Any]) -> Mapping[str, inspect.Parameter]:
    """The arguments that a function takes, by name, in order."""
    return inspect.signature(function).parameters


def own_reset(thing: Any) -> bool:
    """Whether the class of a thing has a `reset_state` of its own, not that of `Layer`."""
    return getattr(type(thing), "reset_state", Layer.reset_state) is not Layer.reset_state


def attributes(thing: Any) -> dict[str, Any]:
    """The attributes of an object, of which a change is a change of the object."""
    found: dict[str, Any] = getattr(thing, "__dict__", {})
    return found


def looks_like_a_layer(value: Any) -> bool:
    """Whether an attribute is a part of a model: it has parameters, a forward or a generator."""
    marks = ("params", "forward", "rng")
    return not isinstance(value, type) and any(hasattr(value, mark) for mark in marks)


def is_array(value: Any) -> bool:
    """Whether a value is an array, of any shape, of either library; a NumPy number is none."""
    has_both = hasattr(value, "base") and hasattr(value, "dtype")
    return has_both and not isinstance(value, numpy.generic)


def has_params(part: Any) -> bool:
    """Whether a part of a model has parameters."""
    return bool(listed(part, "params"))


def listed(thing: Any, name: str) -> list[Any]:
    """The list that is an attribute of `thing`; empty if there is none."""
    found = getattr(thing, name, None)
    return found if isinstance(found, list) else []
