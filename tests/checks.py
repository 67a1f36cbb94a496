"""What every pointwise entry of the catalogue must pass. Each check raises AssertionError, with the entry's name, for what it finds.

They are plain functions so that a user's own entry, or a planted fault, can be put through them as well.
"""

import copy
import math
import os
import pickle
import warnings
from collections.abc import Iterator
from itertools import product

import mpmath
import torch
from torch.func import hessian, jvp, vmap

from actlab.activations import fused

HALF = (torch.float16, torch.bfloat16)
TYPES = (*HALF, torch.float32, torch.float64)
# (bits of the fraction, least exponent of a normal number)
_FORMAT = {
    torch.float64: (52, -1022), torch.float32: (23, -126), torch.float16: (10, -14), torch.bfloat16: (7, -126)
}  # fmt: skip
_USUAL = {"value": 4, "slope": 4, "curve": 4}  # ulp in float64
ORDERS = {"value": 0, "slope": 1, "curve": 2}
POINTS = [
    -700.5, -88.9, -31.7, -14.2, -7.3, -4.61, -3.2, -2.31, -1.713, -1.19, -0.7507, -0.731, -0.313, -0.0123, -1e-7,
    3e-9, 0.0021, 0.171, 0.49, 0.8873, 1.312, 1.73, 2.9, 4.5, 6.7, 12.4, 33.3, 91.7, 712.25,
]  # fmt: skip

ALL_KERNELS = os.environ.get("ACTLAB_KERNELS") == "all"  # `make kernel-tests`: they take long to compile


def parameter_points(entry) -> Iterator[dict[str, float]]:
    """Defaults, and other values: many wrong formulas agree at alpha = 1."""
    yield {}
    values = {one.name: 1.37 * one.default + 0.01 * (one.default == 0) for one in entry.parameters}
    if values:
        yield values


def evaluated(entry, x, order, **parameters):
    """Value or derivative."""
    return entry.derivative(x, order, **parameters) if order else entry(x, **parameters)


def ulp(size: float, dtype: torch.dtype) -> float:
    """Distance of neighbouring numbers at that size."""
    bits, least = _FORMAT[dtype]
    exponent = least if size == 0 else max(math.frexp(size)[1] - 1, least)
    return 2.0 ** (exponent - bits)


def floor_of(entry, kind, x):
    """The stated floor of the error's scale, at every x."""
    from actlab.formula import parse

    if kind not in entry.bounds:
        return torch.zeros_like(x)
    return parse(entry.bounds[kind].floor).torch()(x).expand(x.shape)


def error_in_ulp(found, exact, dtype, floor):
    """|found - exact| in ulp of the larger of |exact| and floor, elementwise; exact is float64, found of `dtype`."""
    size = torch.maximum(exact.abs(), floor)
    bits, least = _FORMAT[dtype]
    exponent = torch.where(size > 0, torch.frexp(size).exponent - 1, least).clamp(min=least)
    return (found.double() - exact).abs() / torch.ldexp(torch.ones_like(size), exponent - bits)


def off_breaks(entry, values, parameters, distance):
    """Those of `values` that lie farther than `distance` from every kink and jump."""
    breaks = entry.points((*entry.kinks, *entry.jumps), **parameters)
    return [x for x in values if all(abs(x - one) > distance for one in breaks)]


def against_definition(entry, kind):
    order, dtype = ORDERS[kind], torch.float64
    limit = entry.bounds[kind].ulp if kind in entry.bounds else _USUAL[kind]
    for parameters in parameter_points(entry):
        values = {**entry.values(), **parameters}
        points = off_breaks(entry, POINTS, parameters, 1e-6)
        x = torch.tensor(points, dtype=dtype)
        found, floors = evaluated(entry, x, order, **parameters), floor_of(entry, kind, x)
        exact = entry.definition().exact(order)
        for at, y, floor in zip(points, found.tolist(), floors.tolist(), strict=True):
            if y == 0 and abs(at) > 30:  # what is too small for float64 may take thousands of digits to say
                continue
            wanted = exact(at, **values)
            if abs(wanted) > 1e300:
                continue
            error = float(abs(mpmath.mpf(y) - wanted)) / ulp(max(abs(float(wanted)), floor), dtype)
            assert error <= limit, (
                f"{entry.name}: {kind} at {at} with {values} is {y!r}, by definition {mpmath.nstr(wanted, 17)}: {error:.3g} ulp, at most {limit}"
            )


def check_value(entry):
    """The value, by the definition at 50 digits."""
    against_definition(entry, "value")


def check_slope(entry):
    """The first derivative, by that of the definition."""
    if not entry.surrogate:
        against_definition(entry, "slope")


def check_curve(entry):
    """The second derivative, by that of the definition."""
    if not entry.surrogate:
        against_definition(entry, "curve")


def all_of(dtype):
    """Every finite number of a half type."""
    x = torch.arange(-(2**15), 2**15, dtype=torch.int32).to(torch.int16).view(dtype)
    return x[x.isfinite()]


def check_half_types(entry):
    """All 65,536 inputs of both half types, by the float64 result: value within 0.51 ulp, derivative within 0.52."""
    for dtype in HALF:
        x = all_of(dtype)
        largest = torch.finfo(dtype).max
        for kind, limit in (("value", 0.51), ("slope", 0.52)):
            found, exact = evaluated(entry, x, ORDERS[kind]), evaluated(entry, x.double(), ORDERS[kind])
            inside = exact.abs() < largest
            error = error_in_ulp(found, exact, dtype, torch.zeros_like(exact))[inside]
            worst = int(error.argmax())
            assert not error.isnan().any(), f"{entry.name}: {kind} in {dtype} is NaN for a finite input"
            assert error[worst] <= limit, (
                f"{entry.name}: {kind} in {dtype} at {x[inside][worst].item()!r} is off by {error[worst]:.3f} ulp, at most {limit}"
            )


def stratified(count, dtype=torch.float32, seed=0):
    """Every exponent of float32 alike, both signs, and more between -20 and 20."""
    generator = torch.Generator().manual_seed(seed)
    bits = torch.randint(-(2**31), 2**31, (count // 2,), generator=generator, dtype=torch.int64).to(torch.int32)
    everywhere = bits.view(torch.float32)
    near = torch.rand(count - count // 2, generator=generator, dtype=torch.float64).mul(40).sub(20).float()
    x = torch.cat([everywhere[everywhere.isfinite()], near])
    return x.to(dtype)


def check_float32(entry, count=20_000):
    """Inputs of every size, with usual and other parameters, by the float64 result: value within 2 ulp, derivative within 4, or as stated.

    Half an ulp more where parameters are not the usual ones: they may take an operation more.
    """
    x = stratified(count)
    for parameters, (kind, usual) in product(parameter_points(entry), (("value", 2), ("slope", 4))):
        bound = entry.bounds.get(kind)
        floor = (
            floor_of(entry, kind, x.double())
            if bound and not entry.double
            else torch.zeros(len(x), dtype=torch.float64)
        )
        limit = (max(usual, bound.ulp) if bound and not entry.double else usual) + 0.5 * bool(parameters)
        found, exact = (evaluated(entry, one, ORDERS[kind], **parameters) for one in (x, x.double()))
        inside = (exact.abs() < torch.finfo(torch.float32).max) & exact.isfinite()
        error = error_in_ulp(found, exact, torch.float32, floor)[inside]
        worst = int(error.nan_to_num(nan=math.inf).argmax())
        assert error[worst] <= limit, (
            f"{entry.name}: {kind} in float32 at {x[inside][worst].item()!r} with {parameters} is off by {error[worst]:.3f} ulp, at most {limit}"
        )


def check_finite(entry):
    """A finite input gives a finite value and derivatives, unless the exact result is too large for the type."""
    for dtype in TYPES:
        x = torch.cat(
            [
                stratified(4000).to(dtype),
                torch.tensor(
                    [torch.finfo(dtype).max, torch.finfo(dtype).min, torch.finfo(dtype).tiny, 0.0], dtype=dtype
                ),
            ]
        )
        x = x[x.isfinite()]
        for order in (0, 1, 2):
            found, exact = evaluated(entry, x, order), evaluated(entry, x.double(), order)
            bad = ~found.isfinite() & (exact.abs() < torch.finfo(dtype).max)
            assert not found.isnan().any() and not bad.any(), (
                f"{entry.name}: derivative {order} in {dtype} is not finite at {x[bad | found.isnan()][:3].tolist()}"
            )


def check_nan(entry):
    """NaN gives NaN, at every length, offset and stride; derivatives NaN too, or everywhere the same constant."""
    constants = set()
    for length in range(1, 130):
        room = torch.full((2 * length + 3,), math.nan)
        for x in (room[:length], room[3 : 3 + length], room[: 2 * length : 2]):
            assert entry(x).isnan().all(), f"{entry.name}: NaN did not give NaN at length {length}"
            if length in (1, 2, 3, 7, 8, 15, 16, 17, 31, 33, 64, 65, 129):
                leaf = x.clone().requires_grad_()
                entry(leaf).sum().backward()
                constants |= {repr(one) for one in {*leaf.grad.tolist(), *entry.derivative(x).tolist()}}
    assert len(constants) == 1, f"{entry.name}: the derivative at NaN is now {' and now '.join(sorted(constants))}"


def check_infinities(entry):
    """The limit of the function and of its derivatives, where there is one."""
    for sign in (-1.0, 1.0):
        for order in (0, 1, 2):
            at = evaluated(entry, torch.tensor([sign * math.inf], dtype=torch.float64), order)[0]
            far = evaluated(entry, sign * torch.tensor([1e100, 3.3e120, 7.7e140, 2.9e149], dtype=torch.float64), order)
            settled = far.abs().max() < 1e10 and (far - far[-1]).abs().max() < 1e-6
            growing = (
                (far.abs() > 1e10).all() and (far.sign() == far[-1].sign()).all() and (far.abs().diff() >= 0).all()
            )
            for dtype in TYPES[:-1]:  # the narrower types have arithmetic of their own
                narrow = evaluated(entry, torch.tensor([sign * math.inf], dtype=dtype), order)[0]
                torch.testing.assert_close(
                    narrow,
                    at.to(dtype),
                    equal_nan=True,
                    msg=lambda t, dtype=dtype, order=order: f"{entry.name}, {dtype}, order {order}: {t}",
                )
            if settled:
                assert (at - far[-1]).abs() < 1e-6, (
                    f"{entry.name}: derivative {order} at {sign * math.inf} is {at}, its limit {far[-1]}"
                )
            elif growing:
                assert at == far[-1].sign() * math.inf, f"{entry.name}: derivative {order} at {sign * math.inf} is {at}"


def check_breaks(entry):
    """Kinks and jumps are where the entry says, and nowhere else; the derivative there is that of the flat or the negative side."""
    for parameters in parameter_points(entry):
        measured = entry.properties(**parameters)
        stated = entry.points((*entry.kinks, *entry.jumps), **parameters)
        for found in (*measured.jumps, *measured.kinks, *measured.bends):
            assert any(abs(found - one) < 1e-6 for one in stated), (
                f"{entry.name}: an undeclared kink at {found} with {parameters}"
            )
        for one in entry.points(entry.kinks, **parameters):
            exactly = [one] if one == round(one, 3) else [math.nextafter(one, -9), one, math.nextafter(one, 9)]
            near = torch.tensor([one - 1e-9, one + 1e-9, *exactly], dtype=torch.float64)
            left, right, *at = entry.derivative(near, **parameters).tolist()
            allowed = (left, min(left, right, key=abs), 0.0 if math.isclose(left, -right, rel_tol=1e-6) else left)
            assert any(math.isclose(here, value, rel_tol=1e-6, abs_tol=1e-6) for here in at for value in allowed), (
                f"{entry.name}: the derivative at its kink {one} is {at[0]}, between {left} and {right}"
            )


def check_gradients(entry):
    """First and second derivatives by finite differences, forward mode, reverse mode and both."""
    x = torch.tensor(off_breaks(entry, [-2.31, -1.137, -0.313, 0.171, 0.893, 2.71, 5.2], {}, 1e-2), dtype=torch.float64)
    leaf = x.clone().requires_grad_()
    slope, curve = entry.derivative(x), entry.derivative(x, 2)
    (reverse,) = torch.autograd.grad(entry(leaf).sum(), leaf, create_graph=True)
    torch.testing.assert_close(reverse, slope, msg=lambda text: f"{entry.name}: backward: {text}")
    _, forward = jvp(entry, (x,), (torch.ones_like(x),))
    torch.testing.assert_close(forward, slope, msg=lambda text: f"{entry.name}: jvp: {text}")
    torch.testing.assert_close(vmap(entry)(x), entry(x), rtol=0, atol=0, msg=lambda text: f"{entry.name}: vmap: {text}")
    if entry.surrogate:
        return
    assert torch.autograd.gradcheck(entry, leaf, raise_exception=False), entry.name
    assert torch.autograd.gradgradcheck(entry, leaf, raise_exception=False), entry.name
    found = torch.stack([hessian(entry)(one) for one in x])
    torch.testing.assert_close(found, curve, msg=lambda text: f"{entry.name}: hessian: {text}")


def check_learning(entry):
    """Derivatives by parameters that learn, alone, shared out over channels, and mixed with x."""
    learnt = [one for one in entry.parameters if one.domain.learnable]
    if not learnt:
        return
    x = torch.tensor(off_breaks(entry, [-2.31, -1.137, -0.313, 0.171, 0.893, 2.71], {}, 1e-2), dtype=torch.float64)
    x = x.reshape(2, -1).requires_grad_()
    for shape in ((), (1, 3), (2, 1), (2, 3)):
        tensors = [torch.full(shape, 1.1 * one.default + 0.01, dtype=torch.float64).requires_grad_() for one in learnt]

        def called(x, *tensors):
            return entry(x, **{one.name: tensor for one, tensor in zip(learnt, tensors, strict=True)})

        assert torch.autograd.gradcheck(called, (x, *tensors), raise_exception=False), entry.name
        assert torch.autograd.gradgradcheck(called, (x, *tensors), raise_exception=False), entry.name


def check_backward_everywhere(entry):
    """The backward pass gives the stated derivative at every size of input, type and layout, kinks included."""
    kinks = [*entry.points((*entry.kinks, *entry.jumps)), 0.0]
    for dtype in TYPES:
        x = torch.cat([stratified(500).to(dtype), torch.tensor(kinks, dtype=dtype)])
        x = x[x.isfinite()][: 2 * (len(x) // 2)]
        for leaf in (x.clone().requires_grad_(), x[: len(x) // 2 * 2].reshape(2, -1).t().clone().requires_grad_()):
            y = entry(leaf)
            assert (y.dtype, y.shape) == (dtype, leaf.shape), f"{entry.name}: gave {y.dtype} {tuple(y.shape)}"
            y.backward(torch.ones_like(y))
            torch.testing.assert_close(
                leaf.grad,
                entry.derivative(leaf.detach()),
                rtol=0,
                atol=0,
                equal_nan=True,
                msg=lambda t, dtype=dtype: f"{entry.name}, {dtype}: {t}",
            )


def check_shapes(entry):
    """Scalars, empty and four-dimensional tensors, and autocast."""
    for dtype in TYPES:
        for shape in ((), (0,), (3,), (2, 3, 1, 2)):
            x = torch.full(shape, 0.3, dtype=dtype)
            for order in (0, 1, 2):
                y = evaluated(entry, x, order)
                assert (y.shape, y.dtype) == (x.shape, dtype), (
                    f"{entry.name}: {shape} {dtype} became {tuple(y.shape)} {y.dtype}"
                )
    with torch.autocast("cpu", dtype=torch.bfloat16):
        for dtype in TYPES:
            assert entry(torch.ones(2, dtype=dtype)).dtype == dtype, f"{entry.name}: autocast changed the type"


def check_module(entry):
    """A layer of it agrees with the function, copies, pickles, and keeps its parameters through a state_dict."""
    x = torch.tensor([[-2.3, -0.4], [0.3, 2.9]])
    layer = entry.module().eval()
    torch.testing.assert_close(layer(x), entry(x), rtol=1e-6, atol=0)  # its parameters are float32
    learnt = {one.name for one in entry.parameters if one.domain.learnable}
    assert set(dict(layer.named_parameters())) == learnt, (
        f"{entry.name}: its layer learns {set(dict(layer.named_parameters()))}"
    )
    assert entry.name in repr(layer) and layer.decays is False
    assert not list(entry.module(learn=False).parameters())
    for name in learnt:
        with torch.no_grad():
            getattr(layer, name).mul_(1.5)
    for other in (copy.deepcopy(layer), pickle.loads(pickle.dumps(layer))):
        torch.testing.assert_close(other(x), layer(x), rtol=0, atol=0)
    fresh = entry.module().eval()
    fresh.load_state_dict(layer.state_dict())
    torch.testing.assert_close(fresh(x), layer(x), rtol=0, atol=0)
    if learnt:
        channels = entry.module(size=2, axis=-1).eval()
        torch.testing.assert_close(channels(x), entry(x))
        channels(x).sum().backward()
        assert all(getattr(channels, name).grad.shape == (2,) for name in learnt)


def check_compiles(entry):
    """torch.compile without a break, torch.export, both equal to what is not compiled."""
    layer = entry.module().eval()
    x = torch.linspace(-5, 5, 37, requires_grad=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch warns of itself
        torch._dynamo.reset()
        y = torch.compile(layer, fullgraph=True, backend="aot_eager")(x)
        (found,) = torch.autograd.grad(y.sum(), x)
        torch._dynamo.reset()
        lengths = torch.compile(layer, fullgraph=True, backend="aot_eager", dynamic=True)(x.detach()) if fused.on else y
        torch._dynamo.reset()
        alone = torch.compile(entry, fullgraph=True, backend="aot_eager")(x.detach())  # the function, and no gradients
        exported = torch.export.export(layer, (x.detach(),)).module()
    for one in (y, lengths):
        torch.testing.assert_close(one, layer(x), rtol=0, atol=0)
    torch.testing.assert_close(alone, entry(x.detach()), rtol=0, atol=0)
    torch.testing.assert_close(found, entry.derivative(x.detach()))
    with torch.no_grad(), fused(False):  # what is exported must run where there are no kernels
        torch.testing.assert_close(exported(x.detach()), layer(x), rtol=0, atol=0)


def check_refusals(entry):
    """Wrong types, unknown parameters and values outside their domain are named."""
    for bad in ([1.0], torch.ones(2, dtype=torch.int64), torch.ones(2, dtype=torch.complex64)):
        _refuses(lambda bad=bad: entry(bad), TypeError, entry.name, "floating-point")
    _refuses(lambda: entry(torch.ones(2), nonsense=1.0), TypeError, entry.name, "nonsense")
    _refuses(lambda: entry.module(nonsense=1.0), TypeError, entry.name, "nonsense")
    for one in entry.parameters:
        for value in (one.domain.low, one.domain.high, math.nan, "1", None, True):
            _refuses(
                lambda one=one, value=value: entry.module(**{one.name: value}),
                ValueError,
                entry.name,
                one.name,
                repr(value),
            )


def _refuses(act, kind, *words):
    try:
        act()
    except kind as error:
        missing = [word for word in words if word not in str(error)]
        assert not missing, f"'{error}' does not name {missing}"
    else:
        raise AssertionError(f"{words[0]}: took what it should refuse ({words[1:]})")


def check_texts(entry):
    """One sentence in each language, and a source with a year."""
    summary = (entry.body.__doc__ or "").strip()
    assert summary.endswith(".") and "\n" not in summary, f"{entry.name}: the docstring should be one sentence"
    assert entry.zh.endswith("。"), f"{entry.name}: no sentence in Chinese"
    assert any(str(year) in entry.source for year in range(1840, 2030)) or "since" in entry.source, (
        f"{entry.name}: no year in the source"
    )
    assert entry.latex() and entry.latex(1)


CHECKS = [value for name, value in list(globals().items()) if name.startswith("check_")]
