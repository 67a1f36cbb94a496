"""Choose, train and debug neural networks with the activation function as the first-class, swappable part."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from .activations import define as define
    from .activations import fused as fused
    from .diagnosis import diagnose as diagnose
    from .diagnosis import watch as watch
    from .optimizing import optimize as optimize
    from .recipes.compare import compare as compare
    from .records import Run as Run
    from .swapping import swap as swap
    from .train import Parts as Parts
    from .train import Settings as Settings
    from .train import fit as fit

_WHERE = {
    "compare": ".recipes.compare",
    "define": ".activations",
    "diagnose": ".diagnosis",
    "watch": ".diagnosis",
    "fused": ".activations",
    "optimize": ".optimizing",
    "swap": ".swapping",
    "fit": ".train",
    "Parts": ".train",
    "Settings": ".train",
    "Run": ".records",
}
__all__ = [
    "Parts",
    "Run",
    "Settings",
    "__version__",
    "compare",
    "define",
    "diagnose",
    "fit",
    "fused",
    "optimize",
    "swap",
    "watch",
]


def __getattr__(name: str) -> Any:
    """Names are imported when first used, so that `import actlab` stays cheap."""
    if name in _WHERE:
        return getattr(import_module(_WHERE[name], __name__), name)
    raise AttributeError(f"module 'actlab' has no attribute {name!r}")
