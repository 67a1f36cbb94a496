"""Checks that every activation of a whole axis must pass, by plain operations and by kernels: against definitions in float64."""

import copy
import pickle
import warnings

import torch
from torch.nn import functional as F

from actlab import activations
from actlab.activations import get

NAMES = [name for name in activations.names() if isinstance(get(name), activations.VectorActivation)]
DTYPES = (torch.float64, torch.float32, torch.bfloat16, torch.float16)
ONCE = ("glu", "swiglu", "geglu", "reglu", "maxout", "crelu")  # what kernels of these have no second derivative


def sparsemax(x, dim):
    """The t for which max(x - t, 0) sums to 1, by halving; one more step makes it exact and differentiable."""
    with torch.no_grad():
        low, high = x.amax(dim, keepdim=True) - 1, x.amax(dim, keepdim=True)
        for _ in range(60):
            middle = (low + high) / 2
            more = (x - middle).clamp(min=0).sum(dim, keepdim=True) > 1
            low, high = torch.where(more, middle, low), torch.where(more, high, middle)
        inside = x > low
    kept = torch.where(inside, x, torch.zeros_like(x))
    return torch.where(inside, x - (kept.sum(dim, keepdim=True) - 1) / inside.sum(dim, keepdim=True), 0.0)


REFERENCES = {
    "softmax": torch.softmax, "log_softmax": torch.log_softmax, "softmin": F.softmin, "sparsemax": sparsemax, "glu": F.glu,
    "swiglu": lambda x, dim: x.chunk(2, dim)[0] * F.silu(x.chunk(2, dim)[1]),
    "geglu": lambda x, dim: x.chunk(2, dim)[0] * F.gelu(x.chunk(2, dim)[1]),
    "reglu": lambda x, dim: x.chunk(2, dim)[0] * F.relu(x.chunk(2, dim)[1]),
    "crelu": lambda x, dim: torch.cat([F.relu(x), F.relu(-x)], dim),
    "maxout": lambda x, dim: x.movedim(dim, -1).unflatten(-1, (-1, 2)).max(-1).values.movedim(-1, dim),
}  # fmt: skip


def numbers(shape, dtype, seed=0):
    return (2 * torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)).to(dtype)


def passes(function, x, g=None):
    """A result and the gradient by x, for a gradient of these numbers or random ones."""
    x = x.detach().clone(memory_format=torch.preserve_format).requires_grad_()
    y = function(x)
    return y.detach(), torch.autograd.grad(y, x, numbers(y.shape, y.dtype, seed=1) if g is None else g)[0]


def close(found, exact, dtype, what):
    """As good as rounded once in half types, a few units in float32; torch's own GELU, for one, is not better in float64."""
    eps = torch.finfo(dtype).eps
    relative, absolute = {torch.float64: (1e-10, 1e-12), torch.float32: (16 * eps, 16 * eps)}.get(
        dtype, (1.01 * eps, eps / 8)
    )
    assert found.dtype == dtype, what
    torch.testing.assert_close(found.double(), exact, rtol=relative, atol=absolute, msg=lambda text: f"{what}: {text}")


def has_one_slope(name, x, dim=-1):
    """Of each vector, whether sparsemax, if it is that, has one slope there: an element at the very threshold may count or not."""
    if name != "sparsemax":
        return torch.tensor(True)
    y = sparsemax(x, dim)
    threshold = torch.where(y > 0, x - y, -torch.inf).amax(dim, keepdim=True)
    return (((x - threshold).abs() > 1e-6) & x.isfinite()).all(dim, keepdim=True)


def check_value_and_gradient(name):
    for shape in ((4, 6, 144), (2, 10, 2), (130,), (2, 300, 6)):
        for dim in (*range(len(shape)), -1):
            for dtype in DTYPES:
                x = numbers(shape, dtype)
                found = passes(lambda x, dim=dim: get(name)(x, dim=dim), x)
                g = numbers(found[0].shape, dtype, seed=1).double()
                exact = passes(lambda x, dim=dim: REFERENCES[name](x, dim), x.double(), g)
                where = f"along axis {dim} of {shape} in {dtype}"
                close(found[0], exact[0], dtype, f"{name}: value {where}")
                clear = has_one_slope(name, x.double(), dim)
                close(found[1] * clear, exact[1] * clear, dtype, f"{name}: gradient {where}")


def check_memory_orders(name):
    wide = numbers((40, 600), torch.float32)
    for x in (
        wide[:, ::2],
        wide.t(),
        wide[:1].expand(10, -1),
        wide[3:, 100:400],
        wide[:, :40].unflatten(1, (10, 4)).transpose(1, 2),
    ):
        g = torch.ones(()).expand(get(name)(x).shape)
        for one, other in zip(passes(get(name), x, g), passes(get(name), x.contiguous(), g), strict=True):
            torch.testing.assert_close(one, other, rtol=1e-6, atol=1e-6)


def check_empty(name):
    for shape in ((0, 256), (4, 0, 6)):
        x = torch.zeros(shape, requires_grad=True)
        get(name)(x).sum().backward()
        assert x.grad.shape == x.shape


def check_special_numbers(name):
    """Where they come in, and that they do not spread beyond their vector."""
    inf, nan = torch.inf, torch.nan
    some = torch.tensor([0.0, -0.0, 1.0, -1.0, inf, -inf, nan, 1e30, -1e30, 90.0, -90.0])
    x = torch.cartesian_prod(some, some)
    x = torch.cat([x, numbers((200, 2), torch.float32)])
    plain = passes(lambda x: get(name).module(fused=False)(x), x)
    found, clear = passes(get(name), x), has_one_slope(name, x.double())
    torch.testing.assert_close(found[0], plain[0], equal_nan=True, rtol=1e-6, atol=1e-30)
    slopes = [torch.where(clear, one, 0.0) for one in (found[1], plain[1])]
    torch.testing.assert_close(*slopes, equal_nan=True, rtol=1e-6, atol=1e-6 if name == "sparsemax" else 1e-30)  # sums


def check_layer(name):
    layer, x = get(name).module(dim=1), numbers((3, 160, 2), torch.float32)
    assert torch.equal(layer(x), get(name)(x, dim=1))
    for other in (copy.deepcopy(layer), pickle.loads(pickle.dumps(layer))):
        assert torch.equal(other(x), layer(x))
    assert name in repr(layer) and "dim=1" in repr(layer)


def check_compiles(name):
    for dtype in DTYPES[1:3]:
        torch._dynamo.reset()  # it takes so many layers for one and gives up
        layer, x = get(name).module(), numbers((6, 256), dtype)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch warns of itself
            found = passes(torch.compile(layer, fullgraph=True, backend="aot_eager", dynamic=True), x)
        for one, other in zip(found, passes(layer, x), strict=True):
            torch.testing.assert_close(one, other, rtol=2 * torch.finfo(dtype).eps, atol=torch.finfo(dtype).eps)


def check_autocast(name):
    for dtype in DTYPES[1:]:
        x = numbers((4, 256), dtype)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            found = get(name)(x)
        assert found.dtype == dtype
        torch.testing.assert_close(found, get(name)(x))


def check_threads(name):
    x, before, results = numbers((40, 20_000), torch.float32), torch.get_num_threads(), []
    try:
        for threads in (1, 2):
            torch.set_num_threads(threads)
            results.append(passes(get(name), x))
    finally:
        torch.set_num_threads(before)
    for one, other in zip(*results, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-6, atol=1e-9)


def check_transformations(name):
    """vmap over rows, and forward-mode derivatives beside backward ones."""
    x = numbers((5, 256), torch.float32)
    torch.testing.assert_close(torch.func.vmap(get(name))(x), get(name)(x), rtol=1e-6, atol=1e-6)
    t = numbers((256,), torch.float32, seed=2)
    _, forward = torch.func.jvp(get(name), (x[0],), (t,))
    _, gradient = passes(get(name), x[0], torch.ones(forward.shape))
    torch.testing.assert_close(forward.sum(), (gradient * t).sum(), rtol=1e-4, atol=1e-4)


def check_second_derivative(name):
    """Right, or refused where a kernel has none."""
    x = numbers((2, 256), torch.float32)

    def twice(function, x):
        x = x.detach().requires_grad_()
        y = function(x)
        (g,) = torch.autograd.grad(y, x, numbers(y.shape, y.dtype, seed=1).requires_grad_(), create_graph=True)
        return torch.autograd.grad((g * numbers(g.shape, g.dtype, seed=2)).sum(), x, materialize_grads=True)[0]

    try:
        found = twice(get(name), x)
    except RuntimeError as error:
        assert name in ONCE and "no second derivative; take it within actlab.fused(False)" in str(error)
    else:
        torch.testing.assert_close(
            found.double(), twice(lambda x: REFERENCES[name](x, -1), x.double()), rtol=1e-4, atol=1e-4
        )


CHECKS = tuple(one for name, one in dict(globals()).items() if name.startswith("check_"))
