"""Slots and intents of SNIPS: a bidirectional LSTM, and the simple recurrent networks of the notes."""

from ..train.settings import Settings
from .planning import ModelPlan, Plan, SlotPlan

_SETTINGS = Settings(
    epochs=20,
    batch_size=32,
    optimizer="adamw",
    learning_rate=2e-3,
    weight_decay=1e-2,
    schedule="triangular",
    warmup=0.1,
    clip_norm=5.0,
    ema=0.998,
)


def _plan(preset: str, activation: str = "tanh", **arguments: object) -> Plan:
    model = ModelPlan(name="tagger", activation=activation, arguments=arguments)
    return Plan(recipe="slot-filling", preset=preset, data=SlotPlan(), model=model, settings=_SETTINGS)


PRESETS = {
    "bilstm": _plan("bilstm", cell="lstm", bidirectional=True),
    "elman": _plan("elman", cell="elman", bidirectional=False, context=2),
    "jordan": _plan("jordan", cell="jordan", bidirectional=False, context=2),
    "peephole": _plan("peephole", cell="peephole", bidirectional=True),
    "attention": _plan("attention", "gelu", cell="attention", hidden=192, layers=3),
    "gru": _plan("gru", cell="gru", bidirectional=True),
}
