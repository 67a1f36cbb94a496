"""Kernels as another processor takes them, by argument: vectors of 256 bits (AVX2), or none. Run by test_kernels.py in a process of its own."""

import sys
from math import inf, nan

import torch
from torch._inductor import config

from actlab.activations import get
from actlab.kernels import build

config.cpp.simdlen = int(sys.argv[1])
x = torch.cat([3 * torch.randn(10_003), torch.tensor([nan, inf, -inf, 0.0, -0.0, -1e30, 200.0, -200.0])])
for name in sys.argv[2].split(","):
    for dtype in (torch.float32, torch.bfloat16, torch.float16):
        assert not get(name).random or "drawn" in build(get(name), dtype)
        found = []
        for fused in (True, False):
            leaf = x.to(dtype, copy=True).requires_grad_()
            torch.manual_seed(0)  # some draw in training
            y = get(name).module(fused=fused, learn=False, save="input")(leaf)
            y.backward(torch.ones_like(y))
            found.append((y.detach(), leaf.grad))
        unit = torch.finfo(dtype).eps
        for ours, plain in zip(*found, strict=True):
            torch.testing.assert_close(
                ours, plain, equal_nan=True, rtol=4 * unit, atol=1e-6 if ours is found[0][1] else 0
            )
