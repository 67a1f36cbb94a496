"""LeNet-5 on Fashion-MNIST: the original sigmoid and average pooling, and a modern form of the same size."""

from ..train.settings import Settings
from .planning import DataPlan, ModelPlan, Plan

# ReLU, max-pooling, He weights, momentum and one cycle of the rate.
MODERN = Plan(
    recipe="lenet",
    preset="modern",
    model=ModelPlan(name="lenet", activation="relu", arguments={"pooling": "max"}, initialise="he"),
    settings=Settings(
        epochs=10,
        learning_rate=0.1,
        momentum=0.9,
        nesterov=True,
        weight_decay=5e-4,
        schedule="onecycle",
        warmup=0.3,
        clip_norm=1.0,
    ),
)

# Sigmoid and average pooling learn nothing from torch's own start and need a large rate from Xavier's.
ORIGINAL = Plan(
    recipe="lenet",
    preset="original",
    data=DataPlan(normalise=False),
    model=ModelPlan(name="lenet", activation="sigmoid", arguments={"pooling": "average"}, initialise="xavier"),
    settings=Settings(epochs=10, batch_size=256, learning_rate=0.9),
)

PRESETS = {"modern": MODERN, "original": ORIGINAL}
