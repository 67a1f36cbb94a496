"""`actlab inspect`: pictures of what a network has learnt and of how it learns."""

import typer

from .._language import say
from . import app

inspecting = typer.Typer(
    help=say(
        "Look into a network: filters, feature maps, receptive fields, attention, loss surfaces, back-propagation step by step.",
        "观察网络内部：滤波器、特征图、感受野、注意力、损失曲面，以及逐步的反向传播。",
    ),
    no_args_is_help=True,
)
app.add_typer(inspecting, name="inspect")
