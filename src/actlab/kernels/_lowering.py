"""From a function of tensors to C++: torch's own compiler writes the loop, this gives it a signature that the runtime can call."""

import math
import re
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from ..activations import _float32, _numerics
from ..activations import _pieces as pieces
from ._grouping import grouped
from ._past import past_the_caches
from ._rounding import inputs_to_ask, rounded_by_inputs
from ._seeded import seeded

TORCHS = "#include <torch/csrc/inductor/cpp_prefix.h>\n"
_OURS = ("elementary.h", "pieces.h", "reach.h", "noise.h")
PREFIX = TORCHS + "".join((Path(__file__).parent / one).read_text(encoding="utf-8") for one in _OURS)

_HEAD = 'extern "C" void {}(void* const* inputs, void* const* outputs, int64_t rows, int64_t columns, bool past)'


class Argument(NamedTuple):
    """An input of a kernel: its type and its shape, in rows R and columns C.

    `made` says that it is noise, which the loop makes of the seed that the pointer leads to; `tells`, that a loop may find out from it
    whether results are too small to be rounded the short way, as _rounding.py has it.
    """

    dtype: torch.dtype
    shape: str = "R"  # "R", "RC", "C" or "" for a single number
    made: bool = False
    tells: bool = True


class NoKernel(Exception):
    """torch's compiler does not make one loop of this function."""


class Split(NamedTuple):
    """A function that does for another one where its last input of rows lies from `low` to `high`, in fewer steps.

    With `product` the limits, as far from 0 on both sides, are of that input times the one after it, a single number.
    """

    function: Callable[..., Any]
    low: float
    high: float
    results: int = 1
    product: bool = False
    sums: int = 0  # results after those, of what is added up


def source(
    name: str,
    function: Callable[..., Tensor | tuple[Tensor, ...]],
    arguments: Sequence[Argument],
    by: Split | None = None,
) -> str:
    """C++ of `void name(void* const* inputs, void* const* outputs, int64_t rows, int64_t columns, bool past)`; raises NoKernel.

    It works on one thread: the runtime cuts the elements into pieces, and says whether the first output is to go past the caches. With
    `by` it takes that function where the last input lies within its limits, for each element whatever lies beside it.
    """
    if by is not None:
        both = _shallow(f"{name}_near", by.function, arguments) + _shallow(f"{name}_far", function, arguments)
        which = len(arguments) - 1 - by.product
        kind = f"uint{8 * arguments[which].dtype.itemsize}_t"
        limits = (
            f"actlab::limits_by({by.high!r}f, *static_cast<const float*>(inputs[{which + 1}]))"
            if by.product
            else f"{{{', '.join(str(_bits(one, arguments[which].dtype)) for one in (by.low, by.high))}}}"
        )
        return (
            f"{both}{_HEAD.format(name)} {{ "
            f"actlab::Reach<{kind}, {which}, {by.results}, {int(by.product)}, {by.sums}>{{{name}_near, {name}_far, {limits}, past}}"
            f".run(inputs, outputs, rows); }}\n"
        )
    return _shallow(name, function, arguments)


def _bits(limit: float, dtype: torch.dtype) -> int:
    """The bits of the number of this type that is next to a limit on the side of 0."""
    size = torch.tensor(abs(limit), dtype=torch.float32)
    near = size.to(dtype)
    kind = {2: torch.int16, 4: torch.int32}[dtype.itemsize]
    bits = int(near.view(kind)) - int(near.float() > size)
    return bits + (1 << (8 * dtype.itemsize - 1)) * (limit < 0)


def _shallow(name: str, function: Callable[..., Tensor | tuple[Tensor, ...]], arguments: Sequence[Argument]) -> str:
    """`source` of one loop."""
    # Steps are inlined into those that use them. To end that early may leave steps that want memory of their own; late, walks are deep.
    with suppress(NoKernel, RecursionError):
        return _source(name, function, arguments, 50)
    try:
        return _source(name, function, arguments, 300)
    except RecursionError as error:
        raise NoKernel(f"the steps of {name} lie too deep in each other") from error


def _source(name: str, function: Callable[..., Any], arguments: Sequence[Argument], longest: int) -> str:
    """`source` with no step of more than `longest` operations inlined."""
    text, sizes = _lowered(function, arguments, longest, _elementary())
    kernels = re.findall(r"async_compile\.cpp_pybinding\(\[(.*?)\], r'''(.*?)'''", text, re.S)
    calls = re.findall(r"^\s+cpp_fused\w*\((.*)\)$", text, re.M)
    returned = re.search(r"return \((.*?),? ?\)$", text, re.M)
    if len(kernels) != 1 or len(calls) != 1 or returned is None:
        raise NoKernel(f"expected one loop for {name}, got {len(kernels)}")
    types = [kind.strip().strip("'") for kind in kernels[0][0].split(",")]
    outputs = [one.strip() for one in returned[1].split(",")]
    inputs = re.search(r"^\s+(.*) = args$", text, re.M)
    assert inputs is not None
    known = {one.strip(): f"inputs[{place}]" for place, one in enumerate(inputs[1].rstrip(", ").split(","))}
    known |= {one: f"outputs[{place}]" for place, one in enumerate(outputs)}
    steps = {  # what stands between the steps: single numbers, or one for each column
        buffer: sizes[axis] if axis else "1"
        for buffer, axis in re.findall(r"^\s+(buf\d+) = empty_strided_cpu\(\((\w*)(?:, )?\), ", text, re.M)
        if buffer not in known and sizes.get(axis) != "rows"
    }
    known |= {one: f"{one}.data()" for one in steps}
    passed = []
    for kind, argument in zip(types, calls[0].split(","), strict=True):
        argument = argument.strip()
        if argument not in sizes and argument not in known:
            raise NoKernel(f"{name} needs memory of its own for {argument}")
        passed.append(sizes[argument] if argument in sizes else f"({kind}){known[argument]}")
    body = (
        _own_steps(kernels[0][1])
        .replace(TORCHS, "")
        .replace(" kernel(", f" {name}_loop(")
        .replace('extern "C"', "ACTLAB_WHOLE static")
    )
    body, tables = _pieces(body, name)
    names = _parameters(body, passed)
    asked = _asked(function, arguments)
    if asked is not None and all(f"inputs[{one}]" in names for one in asked):
        body = rounded_by_inputs(body, [names[f"inputs[{one}]"] for one in asked])
    for place, one in enumerate(arguments):
        changed = seeded(body, names[f"inputs[{place}]"]) if one.made else body
        if changed is None:
            raise NoKernel(f"{name} has noise outside of vectors")
        body = changed
    body, asks = past_the_caches(grouped(body), names["outputs[0]"])
    passed += [asks] if asks else []
    return (
        f"{tables}{body}\n{_HEAD.format(name)} "
        f"{{ {''.join(f'std::vector<double> {one}({size}); ' for one, size in steps.items())}{name}_loop({', '.join(passed)}); }}\n"
    )


def _parameters(text: str, passed: Sequence[str]) -> dict[str, str]:
    """What a loop calls what is passed to it."""
    signature = re.search(r"_loop\((.*?)\)\n", text, re.S)
    assert signature is not None
    names = re.findall(r"(\w+)(?:,|$)", signature[1])
    return {one.partition(")")[2]: name for one, name in zip(passed, names, strict=True)}


def _asked(function: Callable[..., Any], arguments: Sequence[Argument]) -> tuple[int, ...] | None:
    """Which inputs a loop may look at before it rounds to bfloat16; None where its results are looked at themselves."""
    plain = all(one == Argument(torch.bfloat16) for one in arguments)
    return inputs_to_ask(function, len(arguments)) if plain else None


def _pieces(text: str, name: str) -> tuple[str, str]:
    """The text with our pieces of polynomials in their places, and the tables they read."""
    tables: dict[pieces.Table, str] = {}
    vector = re.compile(r"auto (tmp\d+) = (tmp\d+)\.nextafter\((tmp\d+)\);(.*?)\1\.hypot\((tmp\d+)\)", re.S)
    # what is left over of a loop may be computed one by one
    single = re.compile(r"auto (tmp\d+) = std::nextafter\((tmp\d+), (tmp\d+)\);(.*?)std::hypot\(\1, (tmp\d+)\)", re.S)
    for asked in (vector, single):
        while (found := asked.search(text)) and (tables or asked is vector):
            _, x, number, between, side = found.groups()
            before = text[: found.start()]
            if asked is vector:
                number = re.findall(rf"auto {number} = at::vec::VectorizedN?<float(?:,\d+)?>\((tmp\d+)\);", before)[-1]
            value = re.findall(rf"auto {number} = static_cast<float>\(([\d.]+)\);", before)[-1]
            table, part = pieces.numbered(int(float(value)))
            step = f"actlab::pieces<actlab::Part::{part}, {'false' if x == side else 'true'}>"
            place = tables.setdefault(table, f"{name}_{len(tables)}")
            text = f"{before}{between}{step}({place}, {x}, {side}){text[found.end() :]}"
    if "nextafter(" in text or "hypot(" in text:
        raise NoKernel(f"{name} has pieces of polynomials outside of vectors")
    return text, "".join(table.code(place) for table, place in tables.items())


_ORDERS = {"<": "less", "<=": "at_most", ">": "above", ">=": "at_least", "==": "equal", "!=": "unequal"}


def _own_steps(text: str) -> str:
    """The same loops in fewer steps.

    Our exponential function, sine and cosine (rough ones for results in half types), inverse and inverse root; powers of two in one step; comparisons in mask registers; bits of one type taken for another in registers; bfloat16 widened and rounded; half types taken to float64 and back in registers; sums too; with a constant, maximum and minimum that let NaN through.
    """
    rough = "rough_" if re.search(r"at::(BFloat16|Half)\*", text) else ""
    for theirs, ours in (
        ("exp", f"{rough}exponential"),
        ("sin", f"{rough}sine"),
        ("cos", f"{rough}cosine"),
        ("reciprocal", "inverse"),
        ("rsqrt", "inverse_root"),
    ):
        text = re.sub(rf"= (tmp\d+)\.{theirs}\(\);", rf"= actlab::{ours}(\1);", text)
    text = re.sub(
        r"at::vec::VecMask<float,\d+>\((tmp\d+) ([<>=!]=?) (tmp\d+)\)",
        lambda found: f"actlab::compare<actlab::Order::{_ORDERS[found[2]]}>({found[1]}, {found[3]})",
        text,
    )
    text = re.sub(
        r"decltype\(tmp\d+\)::blendv\((tmp\d+), (tmp\d+), (tmp\d+)\.template cast<float,\d+>\(\)\)",
        r"actlab::chosen(\1, \2, \3)",
        text,
    )
    text = re.sub(
        r"auto (tmp\d+) =\s*\[&\]\(\)\s*\{\s*__at_align__ std::array<(?:int32_t|float), \d+> tmpbuf0;\s*(tmp\d+)\.store\([^;]*;"
        r"\s*__at_align__ std::array<(int32_t|float), \d+> tmpbuf_out;\s*for \([^{]*\{\s*tmpbuf_out\[i\] = c10::bit_cast<\3>\(tmpbuf0\[i\]\);"
        r"\s*\}\s*return [^;]*;\s*\}\s*\(\)\s*;",
        r"auto \1 = actlab::bits_as<\3>(\2);",
        text,
    )
    text = re.sub(
        r"auto (tmp\d+) =\s*\[&\]\(\)\s*\{\s*__at_align__ std::array<float, \d+> tmpbuf0;\s*(tmp\d+)\.store\([^;]*;"
        r"\s*__at_align__ std::array<float, \d+> tmpbuf1;\s*(tmp\d+)\.store\([^;]*;\s*__at_align__ std::array<float, \d+> tmpbuf_out;"
        r"\s*for \([^{]*\{\s*tmpbuf_out\[i\] = std::ldexp\(tmpbuf0\[i\], tmpbuf1\[i\]\);\s*\}\s*return [^;]*;\s*\}\s*\(\)\s*;",
        r"auto \1 = actlab::scaled(\2, \3);",
        text,
    )
    text = re.sub(
        r"auto (tmp\d+) =\s*\[&\]\(\)\s*\{\s*auto left = decltype\((tmp\d+)\)::blendv\([^;]*;\s*auto right = [^;]*;"
        r"\s*return left - right;\s*\}\s*\(\)\s*;",
        r"auto \1 = actlab::sign(\2);",
        text,
    )
    text = re.sub(r"at::vec::convert<double,4,at::(?:BFloat16|Half),1>", "actlab::doubled", text)
    text = re.sub(r"at::vec::convert<(at::(?:BFloat16|Half)),1,double,4>", r"actlab::halved<\1>", text)
    text = re.sub(r"at::vec::convert<float,2,at::BFloat16,1>\((tmp\d+)\)", r"actlab::widened(\1)", text)
    narrowed = "narrowed_any" if "const float*" in text else "narrowed"  # a parameter may be any NaN
    text = re.sub(r"at::vec::convert<at::BFloat16,1,float,2>\((tmp\d+)\)", rf"actlab::{narrowed}(\1)", text)
    # The compiler's sums change over to another place in memory after 4,096 vectors; a piece has fewer.
    text = re.sub(r"(\w+_vec) = cascade_sum_combine\((\w+), &\w+\);", r"\1 = \1 + \2;", text)
    text = re.sub(
        r"(\w+_vec) = cascade_sum_combine\((\w+), (.*), &\w+\);", r"\1 = sum_masked_reduce(\1, \2, \3);", text
    )
    for helper in re.findall(r"CascadeSumHelper<.*> (\w+)\(", text):
        if not re.search(rf"cascade_sum_combine\(.*&{helper}\)", text):
            text = re.sub(rf"CascadeSumHelper<.*> {helper}\(.*\);|\w+ = cascade_sum_final\(&{helper}\);", "", text)
    numbers = re.findall(r"auto (tmp\d+) = static_cast<float>\([^()]*\);", text)
    constants = "|".join(
        re.findall(rf"auto (tmp\d+) = at::vec::VectorizedN?<float(?:,\d+)?>\((?:{'|'.join(numbers)})\);", text)
    )
    for ours, theirs in (("clamp_min", "maximum"), ("clamp_max", "minimum")) if constants else ():
        text = re.sub(rf"at::vec::{theirs}\((tmp\d+), ({constants})\)", rf"at::vec::{ours}(\1, \2)", text)
        text = re.sub(rf"at::vec::{theirs}\(({constants}), (tmp\d+)\)", rf"at::vec::{ours}(\2, \1)", text)
    return text


def _elementary() -> dict[Any, Callable[..., Any]]:
    """Our elementary functions in place of those of the vector library, for float32 within."""

    def only_float32(function: Callable[..., Tensor]) -> Callable[..., Any]:
        return lambda x: function(x) if x.dtype == torch.float32 else NotImplemented

    aten, rough = torch.ops.aten, _numerics.precision() == "plain"

    def expm1(x: Tensor) -> Tensor:
        return _float32.rough_expm1(x) if rough and x.dtype == torch.float32 else _float32.expm1(x)

    def divide(
        a: Tensor, b: Any
    ) -> Any:  # by a number: a product is several times as fast, and half types have room for its rounding
        known = rough and isinstance(b, float | int) and 1e-30 < abs(b) < 1e30 and a.dtype == torch.float32
        return a * (1 / b) if known else NotImplemented

    found = {
        aten.isnan.default: lambda x: x != x,  # these three are vector code, the compiler's are not
        aten.isinf.default: lambda x: x.abs() == math.inf,
        aten.isfinite.default: lambda x: x.abs() < math.inf,
        aten.div.Tensor: divide,
        aten.expm1.default: expm1,
        aten.tanh.default: only_float32(_float32.tanh),
        aten.atan.default: only_float32(_float32.atan),
        aten.erf.default: only_float32(_float32.erf),
    }
    return found if rough else {**found, aten.log1p.default: only_float32(_float32.log1p)}


def _lowered(
    function: Callable[..., Tensor | tuple[Tensor, ...]],
    arguments: Sequence[Argument],
    longest: int,
    elementary: dict[Any, Callable[..., Any]],
) -> tuple[str, dict[str, str]]:
    """The module that torch's compiler writes, and the names of its sizes."""
    from torch._inductor import config
    from torch._inductor.debug import DebugContext
    from torch._inductor.decomposition import select_decomp_table
    from torch._inductor.graph import GraphLowering
    from torch._inductor.ir import Pointwise
    from torch._inductor.virtualized import V
    from torch._subclasses import FakeTensorMode
    from torch.fx.experimental.proxy_tensor import make_fx
    from torch.fx.experimental.symbolic_shapes import ShapeEnv

    environment = ShapeEnv()
    mode = FakeTensorMode(shape_env=environment)
    lengths = {"R": 10007, "C": 4099}  # of the examples; two different numbers that are no multiples of anything
    examples = [
        mode.from_tensor(torch.empty([lengths[axis] for axis in one.shape], dtype=one.dtype), static_shapes=False)
        for one in arguments
    ]
    sizes = {
        str(size): {"R": "rows", "C": "columns"}[axis]
        for one, example in zip(arguments, examples, strict=True)
        for axis, size in zip(one.shape, example.shape, strict=True)
    }
    with mode, torch.no_grad():
        traced = make_fx(function, decomposition_table={**select_decomp_table(), **elementary})(*examples)

    class Lowering(GraphLowering):
        """Gives every step its result again where several steps read it: the compiler's own walks the tree of steps anew for each use."""

        def run_node(self, n: Any) -> Any:
            result = super().run_node(n)
            for one in result if isinstance(result, list | tuple) else [result]:
                step = getattr(getattr(one, "data", None), "data", None)
                if isinstance(step, Pointwise):
                    object.__setattr__(step, "inner_fn", _remembered(step.inner_fn))
            return result

    graph = Lowering(traced, example_inputs=examples, shape_env=environment, is_inference=True)
    options = {"cpp.threads": 1, "inplace_buffers": False, "realize_opcount_threshold": longest}
    with (
        config.patch(options),
        V.set_fake_mode(mode),
        V.set_debug_handler(DebugContext()),
        V.set_graph_handler(graph),
    ):
        graph.run(*examples)
        code = graph.codegen()[0]
    return str(getattr(code, "value", code)), sizes


def _remembered(step: Callable[..., Any]) -> Callable[..., Any]:
    """A step that gives the same result again to the same handler, one after the other, at the same index."""
    from torch._inductor.virtualized import V

    results: dict[tuple[Any, ...], Any] = {}
    asking: Any = None

    def remembered(index: Sequence[Any]) -> Any:
        nonlocal asking, results
        handler = V.get_ops_handler()
        if handler is not asking:
            asking, results = handler, {}
        of_this, place = results, tuple(index)
        if place not in of_this:
            of_this[place] = step(index)
        return of_this[place]

    return remembered
