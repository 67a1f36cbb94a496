"""Spoken digits by an LSTM or a time-delay network. `--set data.split=theo` tests on a speaker the training never hears."""

from ..train.settings import Settings
from .planning import ModelPlan, Plan, SpeechPlan

_SETTINGS = Settings(
    epochs=30,
    batch_size=32,
    optimizer="adamw",
    learning_rate=2e-3,
    weight_decay=1e-2,
    schedule="triangular",
    warmup=0.1,
    clip_norm=1.0,
)

PRESETS = {
    "lstm": Plan(
        recipe="spoken-digits",
        preset="lstm",
        data=SpeechPlan(),
        model=ModelPlan(name="lstm", activation="tanh", arguments={"bidirectional": True, "dropout": 0.3}),
        settings=_SETTINGS,
    ),
    "attention": Plan(
        recipe="spoken-digits",
        preset="attention",
        data=SpeechPlan(),
        model=ModelPlan(name="self-attention", activation="gelu", arguments={"window": 15, "dropout": 0.2}),
        settings=_SETTINGS.model_copy(update={"learning_rate": 1e-3}),
    ),
    "tdnn": Plan(
        recipe="spoken-digits",
        preset="tdnn",
        data=SpeechPlan(),
        model=ModelPlan(name="tdnn", activation="relu", arguments={"dropout": 0.2}),
        settings=_SETTINGS,
    ),
}
