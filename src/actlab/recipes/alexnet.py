"""AlexNet on Fashion-MNIST: the notes' recipe, one that is forty times cheaper, and one for the best accuracy."""

from ..train.settings import Settings
from .planning import DataPlan, ModelPlan, Plan

# He-normal weights, Muon on the hidden convolutions, a short triangular schedule, no dropout. Half an epoch. Found on held-out
# training images; the rates and what failed are in LOG.md.
FAST = Plan(
    recipe="alexnet",
    preset="fast",
    data=DataPlan(validation=5000),
    model=ModelPlan(name="alexnet", arguments={"dropout": 0.0, "pool_first": True}, initialise="he"),
    settings=Settings(
        steps=240,
        batch_size=128,
        optimizer="muon",
        learning_rate=0.02,
        momentum=0.9,
        nesterov=True,
        muon_learning_rate=0.02,
        muon_momentum=0.95,
        muon_steps=4,
        schedule="triangular",
        warmup=0.2,
        precision="bf16",
        channels_last=True,
    ),
)

# The study notes' own: plain SGD from Xavier weights on pixels in [0, 1]. It looks at the test images after every epoch, as theirs
# does, and decides nothing by it.
CLASSIC = Plan(
    recipe="alexnet",
    preset="classic",
    data=DataPlan(validation=0, normalise=False),
    model=ModelPlan(name="alexnet", arguments={"dropout": 0.5}, initialise="xavier"),
    settings=Settings(epochs=10, batch_size=128, optimizer="sgd", learning_rate=0.01, report_test=True),
)

# Ten epochs for the best accuracy of this architecture: the fast recipe's start and rates, images mirrored and moved, little dropout.
ACCURATE = Plan(
    recipe="alexnet",
    preset="accurate",
    data=DataPlan(validation=5000, flip=0.5, crop=1),
    model=ModelPlan(name="alexnet", arguments={"dropout": 0.2, "pool_first": True}, initialise="he"),
    settings=Settings(
        epochs=10,
        batch_size=128,
        optimizer="muon",
        learning_rate=0.02,
        momentum=0.9,
        nesterov=True,
        weight_decay=5e-4,
        schedule="triangular",
        warmup=0.1,
        label_smoothing=0.05,
        precision="bf16",
        channels_last=True,
    ),
)

PRESETS = {"fast": FAST, "classic": CLASSIC, "accurate": ACCURATE}
