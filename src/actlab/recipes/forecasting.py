"""Forecasting: sunspots by NAR and TDNN, glucose from its sensor's current by NARX."""

from ..train.settings import Settings
from .planning import ModelPlan, Plan, SeriesPlan

# 1921 is where the literature on this series begins its test (Weigend, Huberman & Rumelhart 1990).
_SUNSPOTS = SeriesPlan(source="sunspots", memory=9, transform="sqrt", test_from="1921", validation=0.15, horizons=(5, 11))
_FEW = Settings(
    epochs=300, batch_size=64, optimizer="adamw", learning_rate=5e-3, weight_decay=1.0, schedule="cosine", warmup=0.05
)

PRESETS = {
    "sunspots-nar": Plan(
        recipe="forecasting",
        preset="sunspots-nar",
        data=_SUNSPOTS,
        model=ModelPlan(name="narx", activation="tanh", arguments={"hidden": 8}),
        settings=_FEW,
    ),
    "sunspots-tdnn": Plan(
        recipe="forecasting",
        preset="sunspots-tdnn",
        data=_SUNSPOTS,
        model=ModelPlan(
            name="tdnn",
            activation="tanh",
            arguments={"hidden": 8, "delays": [[1, 2, 3, 4, 5, 6, 7, 8, 9]], "normalise": False},
        ),
        settings=_FEW,
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
