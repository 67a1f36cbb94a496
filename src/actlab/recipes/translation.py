"""English, in pieces of words, to Chinese, in characters, and back: Tatoeba's sentences or a file of one's own pairs."""

from ..train.settings import Settings
from .planning import ModelPlan, PairPlan, Plan

_SETTINGS = Settings(
    epochs=40,
    batch_size=64,
    optimizer="adamw",
    learning_rate=1e-3,
    weight_decay=1e-2,
    schedule="triangular",
    warmup=0.1,
    clip_norm=20.0,
    label_smoothing=0.1,
    precision="bf16",
    ema=0.999,
)
_MODEL = ModelPlan(
    name="transformer", activation="relu", arguments={"layers": 3, "width": 256, "hidden": 1024, "dropout": 0.3}
)


def _plan(preset: str, reverse: bool) -> Plan:
    data = PairPlan(source="tatoeba", reverse=reverse, pieces=4000)
    return Plan(recipe="translation", preset=preset, data=data, model=_MODEL, settings=_SETTINGS)


PRESETS = {"en-zh": _plan("en-zh", False), "zh-en": _plan("zh-en", True)}
