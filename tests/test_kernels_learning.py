"""Kernels with parameters that learn, at several values of them, beside float64.

They compute in float32, and the places where terms cancel move with the parameters. So errors count in ulp of the larger of the result and
what its terms come to.
"""

import pytest
import torch

from actlab import kernels
from actlab.activations import get
from checks import all_of, error_in_ulp, stratified

pytestmark = pytest.mark.skipif(kernels.library() is None, reason="no compiler")

VALUES = {
    "prelu": [(0.25,), (-1.3,)],
    "snake": [(1.0,), (0.37,), (5.5,)],
    "star_relu": [(0.8944, -0.4472), (2.0, 1.0)],
    "swish": [(1.0,), (1.702,), (0.1,), (-0.7,), (20.0,)],
    "xielu": [(0.2035149379, -1.0502256128), (1.3, 0.7), (-2.0, -3.0), (0.5, 30.0)],
}
TYPES = [torch.float32, torch.float16, torch.bfloat16]
ULP = {torch.float32: (4, 4.5), torch.float16: (0.51, 0.52), torch.bfloat16: (0.51, 0.52)}  # of values and of slopes
LONGEST = 3e3  # radians in a float32, from where on its digits tell less of a wave than results hold
# And those of derivatives by parameters, beside the result.
OF_DERIVATIVES = {"snake": lambda x: 3 * x.square()}


def terms(name, x, values):
    """What the value's and the slope's terms come to."""
    if name == "snake":
        return 1 / values["a"], 2.0
    if name == "xielu":
        down, low = torch.tensor(values["alpha_n"]).double().exp().log1p() + values["beta"], x.clamp(max=0)
        return down * (torch.expm1(low) - low) + values["beta"] * low.abs(), down
    return 0.0, 0.0


def learning(name, numbers, dtype, **options):
    """A layer with these parameters, and what they are in its type, all by name."""
    entry = get(name)
    layer = entry.module(fused=True, **options).to(dtype)
    with torch.no_grad():
        for one, number in zip(layer.parameters(), numbers, strict=True):
            one.fill_(number)
    found = {key: one.detach().double().flatten()[0].item() for key, one in layer.named_parameters()}
    return layer, entry.values() | found


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize(("name", "numbers"), [(name, one) for name, several in VALUES.items() for one in several])
def test_value_and_slope(name, numbers, dtype):
    near = 3 * torch.randn(100_000, generator=torch.Generator().manual_seed(5))
    x = torch.cat([stratified(100_000), near]) if dtype == torch.float32 else all_of(dtype)
    layer, values = learning(name, numbers, dtype)
    x = x[x.abs() <= (LONGEST / values["a"] if name == "snake" else torch.inf)]
    leaf = x.clone().requires_grad_()
    y = layer(leaf)
    assert "Activation" in y.grad_fn.name()
    y.backward(torch.ones_like(y))
    for order, found in enumerate((y.detach(), leaf.grad)):
        exact = get(name).evaluate(x.double(), order, **values)
        inside = exact.abs() < torch.finfo(dtype).max
        scale = torch.as_tensor(terms(name, x.double(), values)[order]).expand(x.shape)
        error = error_in_ulp(found, exact, dtype, scale)[inside]
        worst = int(error.nan_to_num(nan=torch.inf).argmax())
        assert error[worst] <= ULP[dtype][order], (order, x[inside][worst].item(), error[worst].item())


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize(("name", "numbers"), [(name, one) for name, several in VALUES.items() for one in several])
def test_derivatives_by_the_parameters(name, numbers, dtype):
    """Summed over all numbers, and each for itself as that of its own channel."""
    generator = torch.Generator().manual_seed(2)
    x, g = (torch.randn(30_001, generator=generator).to(dtype) for _ in range(2))
    x = 3 * x
    for size in (None, len(x)):
        layer, values = learning(name, numbers, dtype, size=size)
        layer(x[None]).backward(g[None])
        for key, one in layer.named_parameters():
            exact = g.double() * get(name).bodies[key](x.double(), *values.values())
            scale = exact.abs() + g.double().abs() * OF_DERIVATIVES.get(name, lambda x: 0.0)(x.double())
            exact, scale = (exact, scale) if size else (exact.sum(), scale.sum())
            most = 2.2 * torch.finfo(dtype).eps * (scale + 100 * torch.finfo(dtype).tiny)
            assert ((one.grad.double() - exact).abs() <= most).all(), (key, size)


@pytest.mark.parametrize("name", ["swish", "snake"])
def test_where_a_parameter_times_the_input_is_too_large(name):
    """What rounding leaves out of it is then larger than all that it is added to elsewhere."""
    x = torch.tensor([1e7, -1e7, 1e20, 3e25, -3e25, 1e38, -1e38, 3.4e38, -3.4e38] * 5)
    layer, values = learning(name, VALUES[name][1], torch.float32)
    leaf = x.clone().requires_grad_()
    y = layer(leaf)
    y.sum().backward()
    torch.testing.assert_close(y, get(name).evaluate(x.double(), 0, **values).float(), rtol=2e-7, atol=0)
    assert (leaf.grad.abs() <= 2.3).all()


@pytest.mark.parametrize("fuse", [False, True])
@pytest.mark.parametrize("learn", [False, True])
@pytest.mark.parametrize("b", [1.0, -1.0, -0.3])
def test_swish_at_infinities(b, learn, fuse):
    """Where the sigmoid is 0 it is 0, on the right too if b is negative."""
    x = torch.tensor([torch.inf, -torch.inf] * 20)
    y = get("swish").module(b=b, learn=learn, fused=fuse)(x)
    assert y.tolist() == ([torch.inf, 0.0] if b > 0 else [0.0, -torch.inf]) * 20
