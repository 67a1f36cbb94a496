"""bfloat16 out of kernels: rounded to even at every number, the smallest too, and NaN whatever its bits."""

import pytest
import torch

from actlab import kernels
from actlab.activations import get

pytestmark = pytest.mark.skipif(kernels.library() is None, reason="no compiler")


@pytest.mark.parametrize("order", ["sorted", "mixed"])
@pytest.mark.parametrize(
    "name, exact", [("relu", lambda x: x.clamp(min=0)), ("leaky_relu", lambda x: torch.where(x > 0, x, 0.01 * x))]
)
def test_every_pattern_of_bits(name, exact, order):
    """In stretches of their kind, as of denormal ones, and each among others."""
    bits = (
        torch.arange(2**16) if order == "sorted" else torch.randperm(2**16, generator=torch.Generator().manual_seed(0))
    )
    x = bits.to(torch.int32).to(torch.int16).view(torch.bfloat16)
    y = get(name).module(fused=True)(x)
    expected = exact(x.float()).bfloat16()
    assert torch.equal(y.isnan(), x.isnan())
    assert torch.equal(y[~x.isnan()].view(torch.int16) & 0x7FFF, expected[~x.isnan()].view(torch.int16) & 0x7FFF)
    tiny = (x.abs() < torch.finfo(torch.bfloat16).tiny) & (x != 0)
    assert tiny.sum() == 254 and (y[tiny] != 0).sum() >= 127


def test_a_parameter_that_is_none_stays_so():
    """Rounding must not carry over the bits of a NaN into its sign, among denormal numbers least of all."""
    layer = get("prelu").module(fused=True)
    with torch.no_grad():
        layer.a.copy_(torch.tensor(0x7FFFFFFF, dtype=torch.int32).view(torch.float32))
    x = torch.full((64,), -1.0).bfloat16()
    x[::2] = 1e-39
    y = layer(x)
    assert y[1::2].isnan().all() and torch.equal(y[::2], x[::2])
