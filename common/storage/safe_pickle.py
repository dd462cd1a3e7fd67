"""Reading the book's old pickles without executing them.

A pickle is a program for a small stack machine, and some of its operations import and call whatever
the file names. The machine here knows the operations that lists, dictionaries, texts, numbers and
NumPy arrays need, in protocols 0 to 5. A name is never looked up: a constant of `_Name` stands for
each one that NumPy writes, and arrays are built here, of a shape, a dtype and bytes.
"""

import io
import math
import pickletools
import re
from enum import Enum
from pathlib import Path
from reprlib import repr as short
from typing import Any

import numpy

from common.np import Array
from common.storage.files import expanded

__all__ = ["DATA", "read_pickle"]

ARGUMENTS = {
    *("INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4", "FLOAT", "BINFLOAT"),
    *("UNICODE", "BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8"),
    *("BINBYTES", "SHORT_BINBYTES", "BINBYTES8", "BYTEARRAY8"),
}
CONSTANTS = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False, "EMPTY_TUPLE": ()}
DATA = {numpy.ndarray, list, dict, str, int, float, bool, bytes, bytearray, type(None)}
DTYPES = re.compile(r"f[248]|[iu][1248]|b1|U\d+")  # U: the words of NumPy, as scalars


class _Name(Enum):
    """The names in a pickle of arrays."""

    RECONSTRUCT = "numpy._core.multiarray _reconstruct"  # begins an array, which BUILD fills
    FROMBUFFER = "numpy._core.numeric _frombuffer"  # makes an array at once, in protocol 5
    SCALAR = "numpy._core.multiarray scalar"
    NDARRAY = "numpy ndarray"
    DTYPE = "numpy dtype"
    ENCODE = "_codecs encode"  # how protocols 0 to 2 write bytes
    BYTES = "__builtin__ bytes"  # and how they write no bytes


def read_pickle(path: str | Path, kind: str = "weight file") -> Any:
    """The list, dictionary, array, text or number in a pickle.

    kind  what the file should have been, for the error
    Arrays hold floats, integers or bools. NumPy's scalars become Python's. Keys are texts or
    integers. No list or dictionary is there twice, so none contains itself.
    Raises ValueError if the pickle asks for anything else (which is then not called) or is damaged,
    OSError if the file cannot be read. The memory is bounded by the size of the file.
    Source: the operations are described in Python's pickletools.py.
    """
    content = expanded(path).read_bytes()
    try:
        return _Machine(content).run()
    except Exception as error:  # a damaged pickle can raise almost anything
        raise ValueError(f"not a readable {kind} ({error})") from error


class _Begun:
    """An array, or the dtype of a code, that REDUCE began; BUILD gives it a value."""

    def __init__(self, name: _Name, code: str = "") -> None:
        self.name, self.code, self.value = name, code, None


class _Machine:
    """Runs one pickle."""

    def __init__(self, content: bytes) -> None:
        self.file, self.size = io.BytesIO(content), len(content)
        self.stack: list[Any] = []
        self.marks: list[int] = []  # the length of the stack at each mark
        self.memo: dict[int, Any] = {}
        self.to_copy = 2 * len(content)  # an honest file copies a byte from text, and into an array

    def run(self) -> Any:
        """Carry out all operations -> the one value that they leave."""
        for operation, argument, _ in pickletools.genops(self.file):
            if operation.name in ARGUMENTS:
                self.stack.append(argument)
            elif operation.name in CONSTANTS:
                self.stack.append(CONSTANTS[operation.name])
            elif operation.name != "STOP":
                self.do(operation.name, argument)
        if len(self.stack) != 1 or self.marks or self.file.tell() < self.size:
            raise ValueError(f"it ends at byte {self.file.tell()} of {self.size}, with values left")
        return _data(self.stack[0])

    def do(self, operation: str, argument: Any) -> None:
        """Carry out one operation."""
        stack = self.stack
        if operation == "MEMOIZE":
            self.memo[len(self.memo)] = stack[-1]
        elif operation in ("PUT", "BINPUT", "LONG_BINPUT"):
            self.memo[argument] = stack[-1]
        elif operation in ("GET", "BINGET", "LONG_BINGET"):
            stack.append(self.remembered(argument))
        elif operation == "MARK":
            self.marks.append(len(stack))
        elif operation in ("TUPLE1", "TUPLE2", "TUPLE3"):
            items = [stack.pop() for _ in range(int(operation[-1]))]
            stack.append(tuple(reversed(items)))
        elif operation == "TUPLE":
            stack.append(tuple(self.marked()))
        elif operation == "EMPTY_LIST":
            stack.append([])
        elif operation == "LIST":
            stack.append([_data(item) for item in self.marked()])
        elif operation in ("APPEND", "APPENDS"):
            items = self.marked() if operation == "APPENDS" else [stack.pop()]
            _the(list, stack[-1]).extend(_data(item) for item in items)
        elif operation == "EMPTY_DICT":
            stack.append({})
        elif operation == "DICT":
            stack.append(_pairs(self.marked()))
        elif operation in ("SETITEM", "SETITEMS"):
            items = self.marked() if operation == "SETITEMS" else [stack.pop(-2), stack.pop()]
            _the(dict, stack[-1]).update(_pairs(items))
        elif operation == "GLOBAL":
            stack.append(_name(argument))
        elif operation == "STACK_GLOBAL":
            name, module = _the(str, stack.pop()), _the(str, stack.pop())
            stack.append(_name(f"{module} {name}"))
        elif operation == "REDUCE":
            arguments, name = _the(tuple, stack.pop()), _the(_Name, stack.pop())
            stack.append(self.call(name, *arguments))
        elif operation == "BUILD":
            state, begun = _the(tuple, stack.pop()), _the(_Begun, stack.pop())
            begun.value = self.build(begun, *state)
            stack.append(begun.value)
        elif not (
            (operation == "PROTO" and argument <= 5)
            or (operation == "FRAME" and self.file.tell() + argument <= self.size)
        ):
            raise ValueError(f"refused: the operation {operation} {short(argument)}")

    def marked(self) -> list[Any]:
        """Take from the stack what lies above the last mark."""
        mark = self.marks.pop()
        items = self.stack[mark:]
        del self.stack[mark:]
        return items

    def remembered(self, index: int) -> Any:
        """A value of the memo, if an array is complete; a list is not given out twice."""
        value = self.memo.get(index)
        if isinstance(value, _Begun):
            value = value.value
        if value is None or isinstance(value, list | dict):
            raise ValueError(f"the memo has no text, tuple, or complete array {index}")
        return value

    def call(self, name: _Name, *arguments: Any) -> Any:
        """What the function of that name would return for the arguments that NumPy writes."""
        if name is _Name.RECONSTRUCT and arguments == (_Name.NDARRAY, (0,), b"b"):
            return _Begun(name)
        if name is _Name.DTYPE and arguments[1:] == (False, True):
            code = _the(str, arguments[0])
            if DTYPES.fullmatch(code):
                return _Begun(name, code)
            held = "object" if code.startswith("O") else code
            raise ValueError(f"it holds {held} where an array of floats or integers is needed")
        if name is _Name.FROMBUFFER:
            data, dtype, shape, order, *axes = arguments
            if order == "K":
                return self.array(data, dtype, shape, "C").transpose(*axes)
            return self.array(data, dtype, shape, order)
        if name is _Name.SCALAR:
            dtype, data = _the(numpy.dtype, arguments[0]), _the(bytes, arguments[1])
            if dtype.kind == "U" and dtype.itemsize == len(data):
                self.copy(data)
                codec = "utf-32-le" if dtype.str.startswith("<") else "utf-32-be"
                return data.decode(codec, "surrogatepass").rstrip("\0")
            return self.array(data, dtype, (), "C").item()
        if name is _Name.ENCODE and arguments[1:] == ("latin1",):
            self.copy(_the(str, arguments[0]))
            return arguments[0].encode("latin1")
        if name is _Name.BYTES and arguments == ():
            return b""
        raise ValueError(f"the pickle gives {name.value} other arguments than NumPy does")

    def build(self, begun: _Begun, version: Any, *state: Any) -> Any:
        """The array or the dtype that was begun, from the state that NumPy writes."""
        if begun.name is _Name.RECONSTRUCT and version == 1:
            shape, dtype, fortran, data = state
            return self.array(data, dtype, shape, "F" if _the(bool, fortran) else "C")
        order = state[0]
        if begun.name is _Name.DTYPE and version == 3 and order in ("<", ">", "|"):
            dtype = numpy.dtype(order + begun.code)
            sizes = (dtype.itemsize, 4, 8) if dtype.kind == "U" else (-1, -1, 0)
            if dtype.str == order + begun.code and state[1:] == (None, None, None, *sizes):
                return dtype
        raise ValueError(f"the pickle gives {begun.name.value} another state than NumPy does")

    def array(self, data: Any, dtype: Any, shape: Any, order: Any) -> Array:
        """An array of any shape, which has exactly these bytes."""
        if _the(numpy.dtype, dtype).kind == "U":
            raise ValueError(f"it holds {dtype} where an array of floats or integers is needed")
        self.copy(_the(bytes | bytearray, data))
        sizes = [_the(int, size) for size in _the(tuple, shape)]
        bad = min(sizes, default=0) < 0 or math.prod(sizes) * dtype.itemsize != len(data)
        if bad or math.prod(n or 1 for n in sizes) > self.size:  # a list of empty rows takes memory
            raise ValueError(f"{len(data)} bytes are no array of {dtype} {short(shape)}")
        return numpy.ndarray(sizes, dtype, data, order=order).copy(order="K")

    def copy(self, data: bytes | bytearray | str) -> None:
        """Count what is copied, or a part of the file used many times would fill the memory."""
        self.to_copy -= len(data)
        if self.to_copy < 0:
            raise ValueError("the pickle uses the same bytes again and again")


def _name(text: str) -> _Name:
    """The constant for a module and a name, with a space between; NumPy 1 had other modules."""
    try:
        return _Name(text.replace("numpy.core.", "numpy._core."))
    except ValueError:
        dotted = text[:80].replace(" ", ".")
        raise ValueError(f"refused: the pickle wants to call {dotted}") from None


def _the(kind: Any, value: Any) -> Any:
    """A value, if it is of the kind that is needed."""
    if not isinstance(value, kind):
        needed = getattr(kind, "__name__", kind)
        raise ValueError(f"a {type(value).__name__} is in the place of a {needed}")
    return value


def _data(value: Any) -> Any:
    """A value, if a list or a dictionary may hold it."""
    if type(value) not in DATA:
        raise ValueError(f"a {type(value).__name__} is in the place of data")
    return value


def _pairs(items: list[Any]) -> dict[Any, Any]:
    """The dictionary of keys and values in turn."""
    for key in items[::2]:
        if type(key) not in (str, int) or (type(key) is int and key.bit_length() > 60):
            raise ValueError(f"a key is a text or an integer below 2^60, not {short(key)}")
    return {key: _data(value) for key, value in zip(items[::2], items[1::2], strict=True)}
