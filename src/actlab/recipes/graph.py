"""The karate club by attention along its friendships, from its two leaders alone; or a graph of one's own, as Cora comes."""

from ..train.settings import Settings
from .planning import GraphPlan, ModelPlan, Plan

PRESETS = {
    "attention": Plan(
        recipe="graph",
        preset="attention",
        data=GraphPlan(),
        model=ModelPlan(name="graph-attention", activation="gelu"),
        settings=Settings(
            epochs=60, batch_size=256, optimizer="adamw", learning_rate=5e-3, weight_decay=5e-2, clip_norm=1.0
        ),
    )
}
