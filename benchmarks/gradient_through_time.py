"""How much of the gradient is left after up to 200 steps back: simple recurrent networks and LSTMs, drawn.

python benchmarks/gradient_through_time.py [--steps 200] [--quick]

Every layer has 64 units and sees noise of deviation 1. The recurrent matrix of the simple networks is orthogonal times a factor, so
that without a nonlinearity the gradient is exactly that factor to the power of the lag. The LSTM of 1997 has no forget gate (here: one
that is always open); the later one forgets as its bias says: torch's start is about 0, Tallec & Ollivier 2018 (arXiv:1804.11188) draw it
from log(1 .. steps). Rows go to gradient-through-time.csv, the picture to gradient-through-time.svg.
"""

import argparse
from pathlib import Path

import matplotlib
import torch
from _rows import RESULTS, figure, table
from matplotlib.figure import Figure
from recipe_runs import write
from torch import nn

from actlab._plot_svg import PALETTE
from actlab.layers import Recurrent, gradient_by_lag

UNITS = 64
COLOURS = ("#d55e00", "#e69f00", "#cc79a7", "#0072b2", "#56b4e9", "#009e73", "#667080")


def networks(steps: int) -> dict[str, Recurrent]:
    """The layers, by what the picture calls them."""
    torch.manual_seed(0)
    found: dict[str, Recurrent] = {}
    for name, activation, factor in (
        ("RNN, linear, factor 1.01", "identity", 1.01),
        ("RNN, linear, factor 0.99", "identity", 0.99),
        ("RNN, tanh, factor 1", "tanh", 1.0),
    ):
        layer = Recurrent("elman", UNITS, UNITS, activation=activation).double()
        weight = layer._weights(0, False)["weight_hh"]
        nn.init.orthogonal_(weight)
        with torch.no_grad():
            weight *= factor
        found[name] = layer
    found["LSTM of 1997, no forgetting"] = _lstm(torch.full((UNITS,), 50.0))
    found[f"LSTM, forget bias log(1..{steps})"] = _lstm(torch.rand(UNITS).mul(steps - 2).add(1).log())
    found["LSTM, forget bias 1"] = _lstm(torch.ones(UNITS))
    found["LSTM as torch starts it"] = Recurrent("lstm", UNITS, UNITS).double()
    return found


def _lstm(forget: torch.Tensor) -> Recurrent:
    layer = Recurrent("lstm", UNITS, UNITS).double()
    weights = layer._weights(0, False)
    with torch.no_grad():
        weights["bias_ih"][UNITS : 2 * UNITS] = forget
        weights["bias_hh"][UNITS : 2 * UNITS] = 0
    return layer


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--out", type=Path, default=RESULTS)
    parser.add_argument("--quick", action="store_true", help="five steps: does it run")
    given = parser.parse_args()
    steps = 5 if given.quick else given.steps
    layers = networks(steps)
    torch.manual_seed(1)
    x = torch.randn(8, steps, UNITS, dtype=torch.float64)
    found = {name: gradient_by_lag(layer, x) for name, layer in layers.items()}
    found = {name: norms / norms[0] for name, norms in found.items()}
    write(given.out / "gradient-through-time.csv", [{"network": name, "lag": lag, "gradient": value} for name, norms in found.items() for lag, value in enumerate(norms.tolist())])  # fmt: skip
    _draw(found, given.out / "gradient-through-time.svg")
    lags = sorted({1, steps // 4, steps // 2, steps})
    table(
        "gradient that is left, as a share of that at lag 0",
        ["network", *(f"lag {lag}" for lag in lags)],
        [(name, *(figure(float(norms[lag])) for lag in lags)) for name, norms in found.items()],
    )


def _draw(found: dict[str, torch.Tensor], path: Path) -> None:
    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": "actlab"}):
        drawing = Figure(figsize=(8, 4.6), layout="constrained")
        axes = drawing.subplots()
        for (name, norms), colour in zip(found.items(), COLOURS, strict=True):
            axes.plot(norms.clamp(min=1e-30).tolist(), color=colour, linewidth=1.8, label=name)
        axes.set(yscale="log", ylim=(1e-12, 1e2), xlabel="steps back in time", ylabel="norm of the gradient, lag 0 = 1")
        axes.grid(color=PALETTE["grid"], linewidth=0.6)
        axes.spines[["top", "right"]].set_visible(False)
        drawing.legend(loc="outside right upper", frameon=False, fontsize=8)
        drawing.savefig(path, format="svg", metadata={"Date": None})


if __name__ == "__main__":
    main()
