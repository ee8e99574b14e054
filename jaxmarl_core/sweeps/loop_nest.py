"""What a compiled program does, read from its text: its loops, and the kernels in each.

On an accelerator a short step costs what it costs to launch its kernels. XLA's text of a compiled
program says how many there are, how often each loop goes round, and which loops ask the host
whether to go round again.
"""

import math
import re
from collections import Counter
from collections.abc import Iterator
from typing import NamedTuple

# What a device executes no kernel for: names of values, and the second halves of what is split.
NO_KERNEL = frozenset(
    {
        *("parameter", "tuple", "get-tuple-element", "bitcast", "constant", "after-all"),
        *("partition-id", "opt-barrier", "copy-done", "slice-done", "async-done"),
        *("all-reduce-done", "add-dependency", "while", "conditional", "call"),
    }
)
_HEAD = re.compile(r"^(ENTRY )?%?([\w.\-]+) \(.*\) -> .* \{$")
_LINE = re.compile(r"(?:ROOT )?%?([\w.\-]+) = (.*?) ([a-z][\w\-]*)\((.*)$")
_ARRAY = re.compile(r"\b(pred|token|[a-z]+\d+(?:e\d+m\d+\w*)?)\[([\d,]*)\](\{[^}]*\})?")
_TRIPS = re.compile(r'known_trip_count[^\d]*"?(\d+)')
_OPERAND = re.compile(r"%([\w.\-]+)")
_COMPARED = re.compile(r"ROOT .* compare\(%?[\w.\-]+, %?([\w.\-]+)\), direction=LT")
_CONSTANT = re.compile(r"%?([\w.\-]+) = s32\[\]\S* constant\((\d+)\)")
_NAME = re.compile(r'op_name="([^"]*)"')
_BRANCHES = re.compile(r"(?:true_computation|false_computation)=%?([\w.\-]+)")
_RANDOM = re.compile(r"threefry|random|fold_in|gumbel|rng")


class Kernel(NamedTuple):
    """An instruction that is executed."""

    name: str
    kind: str  # "write", of a row of a stack; "copy", "product", "random", "other"
    num_bytes: int  # of its result
    moved: int  # bytes read and written, each array once; see `_moved`


class Loop(NamedTuple):
    """A computation that is executed: the entry, the body of a loop, or a branch."""

    depth: int  # 0: the entry
    name: str  # the end of the path of JAX's names
    trips: int | None  # iterations; None: decided while it runs
    times: int  # executions in all, where a loop that is decided while it runs goes round once
    kernels: tuple[Kernel, ...]  # of one execution, those of loops and branches within left out

    @property
    def kinds(self) -> dict[str, int]:
        """How many kernels there are of each kind."""
        return dict(Counter(kernel.kind for kernel in self.kernels).most_common())


def loop_nest(text: str) -> list[Loop]:
    """Returns the computations of a program in the order in which they are met, outermost first.

    Args:
      text: of a compiled program, as `compiled.as_text()` gives it.

    Raises:
      ValueError: the text has no entry.
    """
    computations, entry = _computations(text)
    if entry is None:
        raise ValueError("text: expected that of a compiled program, with an ENTRY, got none")
    return list(_walk(computations, entry, 0, "entry", 1, 1))


def num_kernels(loops: list[Loop]) -> int:
    """Returns how many kernels are launched, at most, but for loops decided while they run.

    Those go round once here; and of branches all count, such as that of an evaluation.
    """
    return sum(loop.times * len(loop.kernels) for loop in loops)


def bytes_moved(loops: list[Loop]) -> int:
    """Returns the bytes that all kernels read and write, had they no cache."""
    return sum(loop.times * kernel.moved for loop in loops for kernel in loop.kernels)


def host_decided(loops: list[Loop]) -> list[Loop]:
    """Returns the loops whose number of trips is decided while they run."""
    return [loop for loop in loops if loop.trips is None]


def large_copies(loops: list[Loop], least: int = 2**20) -> list[tuple[Loop, Kernel]]:
    """Returns the copies of at least so many bytes, each with the loop that it is in."""
    return [
        (loop, kernel)
        for loop in loops
        for kernel in loop.kernels
        if kernel.kind == "copy" and kernel.num_bytes >= least
    ]


def array_bytes(shapes: str) -> int:
    """Returns the bytes of the arrays of a type, such as "(f32[8,3]{1,0}, pred[])".

    Of a layout with tiles, as a TPU has them, the last two axes are filled up to whole tiles.
    """
    total = 0
    for dtype, sizes, layout in _ARRAY.findall(shapes):
        if dtype == "token":
            continue
        bits = 8 if dtype == "pred" else int(re.findall(r"\d+", dtype)[0])
        shape = [int(size) for size in sizes.split(",") if size]
        total += math.prod(_tiled(shape, layout)) * bits // 8
    return total


def _moved(shapes: str, trips: int | None) -> int:
    """Returns the bytes of the arrays of a type that a kernel in a loop reads or writes.

    Of an array with a row for each trip of the loop it is one row, as scans read and write them.
    What a TPU's layout puts into memory on the chip, S(1), is not moved.
    """
    total = 0
    for found in _ARRAY.finditer(shapes):
        if "S(1)" in (found.group(3) or ""):
            continue
        leading = found.group(2).split(",")[0]
        is_stack = trips is not None and trips > 1 and leading == str(trips)
        total += array_bytes(found.group()) // (trips if is_stack and trips else 1)
    return total


def _tiled(shape: list[int], layout: str) -> list[int]:
    """Returns the sizes of an array's axes in memory, the fastest last, filled up to its tiles."""
    order = re.match(r"\{([\d,]*)", layout or "")
    tile = re.search(r"T\(([\d,]+)\)", layout or "")
    if not tile or not order or not shape:
        return shape
    fastest_first = [int(axis) for axis in order.group(1).split(",") if axis]
    sizes = [shape[axis] for axis in reversed(fastest_first)]
    tiles = [int(size) for size in tile.group(1).split(",")][-len(sizes) :]
    whole = [-(-size // tile) * tile for size, tile in zip(sizes[-len(tiles) :], tiles)]
    return sizes[: -len(tiles)] + whole


def _computations(text: str) -> tuple[dict[str, list[str]], str | None]:
    """Returns name -> lines of each computation, and the name of the entry."""
    found: dict[str, list[str]] = {}
    entry = current = None
    for line in text.splitlines():
        head = _HEAD.match(line)
        if head:
            current = head.group(2)
            found[current] = []
            entry = current if head.group(1) else entry
        elif line.startswith("}"):
            current = None
        elif current is not None:
            found[current].append(line.strip())
    return found, entry


def _walk(
    computations: dict[str, list[str]],
    name: str,
    depth: int,
    label: str,
    trips: int | None,
    times: int,
) -> Iterator[Loop]:
    kernels, within = [], []
    lines = [found for found in map(_LINE.match, computations[name]) if found]
    types = {found.group(1): found.group(2) for found in lines}
    for found in lines:
        line, (result, shapes, op, rest) = found.string, found.groups()
        if op == "while":
            within.append((_called(rest, "body"), _label(line, "loop"), _trips(line, computations)))
        elif op == "conditional":
            within += [(branch, "branch", 1) for branch in _branches(rest)]
        elif op == "call":
            within.append((_called(rest, "to_apply"), _label(line, "call"), 1))
        elif op not in NO_KERNEL:
            read = [types[each] for each in _OPERAND.findall(rest.split(")")[0]) if each in types]
            moved = sum(_moved(each, trips) for each in (shapes, *read))
            kernels.append(Kernel(result, _kind(op, line), array_bytes(shapes), moved))
    yield Loop(depth, label, trips, times, tuple(kernels))
    for body, label_within, count in within:
        inner = times * (1 if count is None else count)
        yield from _walk(computations, body, depth + 1, label_within, count, inner)


def _called(rest: str, what: str) -> str:
    found = re.search(rf"{what}=%?([\w.\-]+)", rest)
    assert found is not None, rest  # an instruction of this kind names what it calls
    return found.group(1)


def _branches(rest: str) -> list[str]:
    listed = re.search(r"branch_computations=\{([^}]*)\}", rest)
    if listed:
        return [name.strip().lstrip("%") for name in listed.group(1).split(",")]
    return _BRANCHES.findall(rest)


def _trips(line: str, computations: dict[str, list[str]]) -> int | None:
    """Returns how often a loop goes round, where its text says so; None: decided while it runs.

    A GPU's text says it outright. Of a TPU's, what a scan has become tells: a counter, from 0 by 1,
    is compared with a constant and with nothing else.
    """
    found = _TRIPS.search(line)
    if found:
        return int(found.group(1))
    condition = computations[_called(line, "condition")]
    compared = _COMPARED.search(condition[-1])
    said = [each for each in map(_CONSTANT.match, condition) if each]
    constants = {each.group(1): each.group(2) for each in said}
    number = constants.get(compared.group(1)) if compared else None
    return None if number is None else int(number)


def _label(line: str, otherwise: str) -> str:
    """Returns the last words of JAX's path of names, without those of its own machinery."""
    found = _NAME.search(line)
    path = found.group(1).split("/") if found else []
    words = [word for word in path if word not in ("while", "body", "closed_call", "cond")]
    return "/".join(words[-2:]) or otherwise


def _kind(op: str, line: str) -> str:
    found = _NAME.search(line)
    path = found.group(1) if found else ""
    last = path.split("/")[-1]
    if op.startswith("copy"):
        return "copy"
    if "dynamic_update" in last or "dynamic-update" in line.split("(")[0]:
        return "write"
    if "dot_general" in last or "conv_general" in last or op in ("dot", "convolution"):
        return "product"
    return "random" if _RANDOM.search(path) else "other"
