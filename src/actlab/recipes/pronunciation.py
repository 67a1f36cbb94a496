"""Letters to phonemes of the CMU dictionary: a Transformer, token by token or all at once."""

from ..train.settings import Settings
from .planning import ModelPlan, PairPlan, Plan

_SETTINGS = Settings(
    epochs=45,
    batch_size=256,
    optimizer="adamw",
    learning_rate=1e-3,
    weight_decay=1e-2,
    schedule="triangular",
    warmup=0.1,
    clip_norm=10.0,
    label_smoothing=0.1,
    precision="bf16",
    ema=0.999,
)
_MODEL = ModelPlan(
    name="transformer",
    activation="relu",
    arguments={"layers": 3, "decoder_layers": 2, "width": 256, "hidden": 1024, "dropout": 0.1, "neighbours": 2},
)

PRESETS = {
    "autoregressive": Plan(
        recipe="pronunciation", preset="autoregressive", data=PairPlan(ctc=0.5), model=_MODEL, settings=_SETTINGS
    ),
    "parallel": Plan(
        recipe="pronunciation",
        preset="parallel",
        data=PairPlan(autoregressive=False, lengths="ctc"),
        model=_MODEL,
        settings=_SETTINGS.model_copy(update={"epochs": 25}),
    ),
}
