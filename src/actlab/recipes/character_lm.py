"""A language model over the characters of a text of one's own: `actlab train character-lm --data book.txt`."""

from ..train.settings import Settings
from .planning import CharacterPlan, ModelPlan, Plan

LSTM = Plan(
    recipe="character-lm",
    preset="lstm",
    data=CharacterPlan(),
    model=ModelPlan(name="character-lm", activation="tanh"),
    settings=Settings(
        epochs=10,
        batch_size=32,
        optimizer="adamw",
        learning_rate=3e-3,
        weight_decay=1e-2,
        schedule="cosine",
        warmup=0.05,
        clip_norm=1.0,
        evaluate_batch_size=64,
    ),
)

# The decoder-only Transformer.
ATTENTION = LSTM.model_copy(
    update={
        "preset": "attention",
        "model": ModelPlan(name="decoder-only", activation="gelu"),
        "settings": LSTM.settings.model_copy(update={"learning_rate": 1e-3, "warmup": 0.1}),
    }
)

PRESETS = {"lstm": LSTM, "attention": ATTENTION}
