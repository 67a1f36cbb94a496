"""Recipes: a name and a preset give a plan, `run` carries it out. The first preset of a recipe is its default."""

from ..errors import UnknownName
from . import alexnet, lenet, mlp
from .planning import DataPlan as DataPlan
from .planning import ModelPlan as ModelPlan
from .planning import Plan as Plan
from .planning import read as read
from .run import run as run

_PRESETS: dict[str, dict[str, Plan]] = {"alexnet": alexnet.PRESETS, "lenet": lenet.PRESETS, "mlp": mlp.PRESETS}


def names() -> dict[str, list[str]]:
    """Every recipe with its presets, the default one first."""
    return {name: list(presets) for name, presets in _PRESETS.items()}


def plan(name: str, preset: str | None = None) -> Plan:
    """The plan of that name; raises UnknownName, with the nearest one.

    A name with a colon, such as `file.py:callable`, is a model of one's own, with settings that suit most small networks.
    """
    if ":" in name:
        if preset is not None:
            raise UnknownName("recipe of a model of one's own", preset, ())
        return mlp.STANDARD.model_copy(update={"recipe": "own", "preset": "", "model": ModelPlan(name=name)})
    if name not in _PRESETS:
        raise UnknownName("recipe", name, _PRESETS)
    presets = _PRESETS[name]
    if preset is None:
        return next(iter(presets.values()))
    if preset not in presets:
        raise UnknownName(f"recipe of {name}", preset, presets)
    return presets[preset]
