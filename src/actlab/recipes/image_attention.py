"""Self-attention over the patches of Fashion-MNIST, beside which LeNet is the convolution."""

from ..train.settings import Settings
from .planning import ModelPlan, Plan

PRESETS = {
    "patches": Plan(
        recipe="image-attention",
        preset="patches",
        model=ModelPlan(name="image-attention", activation="gelu"),
        settings=Settings(
            epochs=10,
            batch_size=128,
            optimizer="adamw",
            learning_rate=1e-3,
            weight_decay=5e-2,
            schedule="cosine",
            warmup=0.1,
            clip_norm=1.0,
        ),
    )
}
