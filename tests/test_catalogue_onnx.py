"""Every entry exported to ONNX and run by ONNX Runtime, beside torch."""

import logging
import warnings

import pytest
import torch

from actlab import activations

pytest.importorskip("onnxscript", reason="the extra 'export' is not installed")
runtime = pytest.importorskip("onnxruntime", reason="the extra 'export' is not installed")

# An even number of columns, for those that need halves.
X = torch.cat([torch.linspace(-12, 12, 96), torch.tensor([-60.0, -0.75, 0.0, 60.0])]).reshape(1, 100)


@pytest.mark.parametrize("name", activations.names())
def test_exports(name):
    """ONNX computes log1p(e) as log(1 + e) and erfc(z) as 1 - erf(z), so tails are right absolutely, not relatively."""
    layer = activations.get(name).module().eval()
    logging.disable(logging.WARNING)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        program = torch.onnx.export(layer, (X,), dynamo=True, verbose=False)
    logging.disable(logging.NOTSET)
    assert program is not None
    session = runtime.InferenceSession(program.model_proto.SerializeToString(), providers=["CPUExecutionProvider"])
    (found,) = session.run(None, {session.get_inputs()[0].name: X.numpy()})
    with torch.no_grad():
        room = 5e-4 if name == "sqrt_softplus" else 2e-6  # the root of what log(1 + e) loses
        torch.testing.assert_close(torch.from_numpy(found), layer(X), rtol=2e-5, atol=room)
