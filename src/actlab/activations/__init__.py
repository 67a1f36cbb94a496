"""The catalogue of activation functions: every entry by its name, and `get`, `names`, `layer`.

Each module here without an underscore is a family; its entries register themselves when it is imported.
"""

from importlib import import_module
from pkgutil import iter_modules

from ._catalogue import get as get
from ._catalogue import names as names
from ._define import define as define
from ._fusing import fused as fused
from ._gated_layer import Gated as Gated
from ._gated_layer import GatedHalves as GatedHalves
from ._layer import Pointwise as Pointwise
from ._spec import Activation as Activation
from ._teaching import Text as Text
from ._torch_modules import NON_DECREASING as NON_DECREASING
from ._torch_modules import layer as layer
from ._vector_spec import VectorActivation as VectorActivation

for _family in iter_modules(__path__):
    if not _family.name.startswith("_"):
        import_module(f"{__name__}.{_family.name}")
for _entry in {id(one): one for one in map(get, names(aliases=True))}.values():
    _entry.tie()


def __getattr__(name: str) -> Activation | VectorActivation:
    """`from actlab.activations import gelu`, for every name and alias."""
    try:
        return get(name)
    except KeyError as error:
        raise AttributeError(str(error)) from None
