"""A fully connected network on Fashion-MNIST."""

from ..train.settings import Settings
from .planning import ModelPlan, Plan

STANDARD = Plan(
    recipe="mlp",
    preset="standard",
    model=ModelPlan(name="mlp", initialise="he", arguments={"hidden": [256, 128], "dropout": 0.2}),
    settings=Settings(
        epochs=10,
        learning_rate=0.05,
        momentum=0.9,
        nesterov=True,
        weight_decay=5e-4,
        schedule="cosine",
        warmup=0.1,
        clip_norm=1.0,
    ),
)

PRESETS = {"standard": STANDARD}
