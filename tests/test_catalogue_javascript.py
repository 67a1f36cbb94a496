"""The JavaScript of every pointwise entry, run by node, beside torch."""

import json
import shutil
import subprocess

import pytest
import torch

from actlab import activations
from actlab.formula import JAVASCRIPT_PRELUDE

GRID = [-30.3, -12.7, -7.1, -4.9, -3.3, -2.2, -1.7, -1.3, -0.9, -0.6, -0.35, -0.12, 0.08, 0.21, 0.47, 0.83, 1.2, 1.9, 2.4, 3.6, 4.7, 6.4, 9.1, 17.2, 31.9]  # fmt: skip
NAMES = activations.names(vectors=False)


@pytest.fixture(scope="module")
def results():
    """Values of all entries at the grid, from one run of node."""
    node = shutil.which("node")
    if node is None:
        pytest.skip("node is not installed")
    calls = []
    for name in NAMES:
        entry = activations.get(name)
        arguments = ", ".join(repr(float(value)) for value in entry.values().values())
        call = f"GRID.map(x => ({entry.definition().javascript()})(x{', ' + arguments if arguments else ''}))"
        calls.append(f"{json.dumps(name)}: {call}")
    code = f"{JAVASCRIPT_PRELUDE}\nconst GRID = {GRID};\nconsole.log(JSON.stringify({{{', '.join(calls)}}}));"
    done = subprocess.run([node, "-e", code], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr[:500]
    return json.loads(done.stdout)


@pytest.mark.parametrize("name", NAMES)
def test_agrees_with_torch(results, name):
    found = torch.tensor(results[name], dtype=torch.float64)
    expected = activations.get(name)(torch.tensor(GRID, dtype=torch.float64))
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-300)
