"""Recipes: a name and a preset give a plan, `run` carries it out. The first preset of a recipe is its default."""

from .._language import say
from ..errors import UnknownName, UsageError
from . import (
    alexnet,
    character_lm,
    forecasting,
    graph,
    image_attention,
    lenet,
    mlp,
    pronunciation,
    slot_filling,
    spoken_digits,
    translation,
)
from .planning import DataPlan as DataPlan
from .planning import ModelPlan as ModelPlan
from .planning import Plan as Plan
from .planning import read as read
from .run import run as run

_PRESETS: dict[str, dict[str, Plan]] = {
    "alexnet": alexnet.PRESETS,
    "lenet": lenet.PRESETS,
    "mlp": mlp.PRESETS,
    "forecasting": forecasting.PRESETS,
    "slot-filling": slot_filling.PRESETS,
    "image-attention": image_attention.PRESETS,
    "graph": graph.PRESETS,
    "pronunciation": pronunciation.PRESETS,
    "translation": translation.PRESETS,
    "spoken-digits": spoken_digits.PRESETS,
    "character-lm": character_lm.PRESETS,
}


def names() -> dict[str, list[str]]:
    """Every recipe with its presets, the default one first."""
    return {name: list(presets) for name, presets in _PRESETS.items()}


def plan(name: str, preset: str | None = None) -> Plan:
    """The plan of that name; raises UnknownName, with the nearest one.

    A name with a colon, such as `file.py:callable`, is a model of one's own, with settings that suit most small networks.
    """
    if ":" in name:
        if preset is not None:
            raise UsageError(
                say(
                    f"a model of one's own has no recipe '{preset}'; leave --recipe out",
                    f"自己的模型没有配方“{preset}”；请去掉 --recipe",
                )
            )
        return mlp.STANDARD.model_copy(update={"recipe": "own", "preset": "", "model": ModelPlan(name=name)})
    if name.endswith(".py"):
        raise UsageError(
            say(
                f"expected file.py:callable; got '{name}': add the name of the function, as in {name}:net",
                f"需要 file.py:callable；得到“{name}”：请加上函数名，如 {name}:net",
            )
        )
    if name not in _PRESETS:
        raise UnknownName("recipe", name, _PRESETS)
    presets = _PRESETS[name]
    if preset is None:
        return next(iter(presets.values()))
    if preset not in presets:
        raise UnknownName(say(f"recipe of {name}", f" {name} 配方"), preset, presets)
    return presets[preset]
