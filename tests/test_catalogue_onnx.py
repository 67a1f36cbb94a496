"""Every entry exported to ONNX and run by ONNX Runtime, beside torch."""

import logging
import warnings

import pytest
import torch
from torch import nn

from actlab import activations

pytest.importorskip("onnxscript", reason="the extra 'export' is not installed")
runtime = pytest.importorskip("onnxruntime", reason="the extra 'export' is not installed")

NAMES = activations.names()
DOZENS = [
    NAMES[begin : begin + 12] for begin in range(0, len(NAMES), 12)
]  # to an export, which takes two seconds alone
# An even number of columns, for those that need halves.
X = torch.cat([torch.linspace(-12, 12, 96), torch.tensor([-60.0, -0.75, 0.0, 60.0])]).reshape(1, 100)


class Every(nn.Module):
    """What each of some layers makes of the same input."""

    def __init__(self, names):
        super().__init__()
        self.layers = nn.ModuleList(activations.get(name).module() for name in names)

    def forward(self, x):
        return tuple(layer(x) for layer in self.layers)


@pytest.mark.parametrize("names", DOZENS, ids=lambda names: f"{names[0]} to {names[-1]}")
def test_exports(names):
    """ONNX computes log1p(e) as log(1 + e) and erfc(z) as 1 - erf(z), so tails are right absolutely, not relatively."""
    model = Every(names).eval()
    logging.disable(logging.WARNING)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        program = torch.onnx.export(model, (X,), dynamo=True, verbose=False)
    logging.disable(logging.NOTSET)
    assert program is not None
    session = runtime.InferenceSession(program.model_proto.SerializeToString(), providers=["CPUExecutionProvider"])
    found = session.run(None, {session.get_inputs()[0].name: X.numpy()})
    with torch.no_grad():
        expected = model(X)
    for name, one, right in zip(names, found, expected, strict=True):
        room = 5e-4 if name == "sqrt_softplus" else 2e-6  # the root of what log(1 + e) loses
        torch.testing.assert_close(
            torch.from_numpy(one), right, rtol=2e-5, atol=room, msg=lambda said, name=name: f"{name}: {said}"
        )
