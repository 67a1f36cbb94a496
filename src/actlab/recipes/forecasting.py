"""Forecasting: sunspots by NAR and TDNN, glucose from its sensor's current by NARX."""

from ..train.settings import Settings
from .planning import ModelPlan, Plan, SeriesPlan

# 1921 is where the literature on this series begins its test (Weigend, Huberman & Rumelhart 1990). Settings were chosen by forecasts of
# 1821 and 1871 to 1920 from what came before (LOG.md); the whole past is learnt from, so nothing is held out.
_SUNSPOTS = SeriesPlan(source="sunspots", memory=9, transform="sqrt", test_from=1921, validation=0.0, horizons=(5, 11))

PRESETS = {
    # It starts as the linear AR and adds what is not linear, held small by the weight decay.
    "sunspots-nar": Plan(
        recipe="forecasting",
        preset="sunspots-nar",
        data=_SUNSPOTS,
        model=ModelPlan(name="narx", activation="tanh", arguments={"hidden": 8}),
        settings=Settings(
            epochs=100,
            batch_size=16,
            optimizer="adamw",
            learning_rate=1e-3,
            weight_decay=1.0,
            schedule="cosine",
            warmup=0.05,
        ),
    ),
    # An unbounded activation, because the peaks after 1921 are higher than any before.
    "sunspots-tdnn": Plan(
        recipe="forecasting",
        preset="sunspots-tdnn",
        data=_SUNSPOTS,
        model=ModelPlan(
            name="tdnn",
            activation="bent_identity",
            arguments={"hidden": 8, "delays": [[1, 2, 3, 4, 5, 6, 7, 8, 9]], "normalise": False},
        ),
        settings=Settings(
            epochs=60, batch_size=16, optimizer="adamw", learning_rate=5e-3, schedule="cosine", warmup=0.05
        ),
    ),
    "glucose-narx": Plan(
        recipe="forecasting",
        preset="glucose-narx",
        data=SeriesPlan(source="glucose", inputs=("isig",), memory=12, horizons=(6, 12)),  # 30 and 60 minutes
        model=ModelPlan(name="narx", activation="tanh", arguments={"hidden": 32}),
        settings=Settings(
            epochs=30,
            batch_size=256,
            optimizer="adamw",
            learning_rate=3e-3,
            weight_decay=1e-2,
            schedule="cosine",
            warmup=0.05,
            clip_norm=1.0,
        ),
    ),
}
