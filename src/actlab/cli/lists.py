"""`actlab models` and `actlab data`: what there is."""

from math import prod
from typing import TYPE_CHECKING, Annotated, Any

import typer

from .._language import say
from ..errors import UsageError, first_line
from . import app

if TYPE_CHECKING:
    from ..models.summary import Summary


@app.command(help=say("List the networks, or show one layer by layer.", "列出网络，或逐层显示其中一个。"))
def models(
    name: Annotated[
        str | None, typer.Argument(help=say("a network, or file.py:callable", "网络名，或 file.py:callable"))
    ] = None,
    activation: Annotated[str | None, typer.Option(help=say("activation function", "激活函数"))] = None,
    shape: Annotated[
        str | None,
        typer.Option(metavar="CxHxW", help=say("shape of one input, e.g. 3x224x224", "一个输入的形状，如 3x224x224")),
    ] = None,
) -> None:
    from .. import _own
    from .. import models as networks

    if name is None:
        for known in networks.names():
            print(f"{known:20} {networks.summary_line(known)}")
        return
    arguments: dict[str, Any] = {} if activation is None else {"activation": activation}
    asked = _shape(shape) if shape else None
    if asked is not None:
        arguments |= {"inputs": prod(asked)} if name == "mlp" else {"channels": asked[0]}
    if ":" not in name:
        model = networks.build(name, **arguments)
    elif asked is None:
        raise UsageError(
            say("a model of one's own needs --shape, such as 3x224x224", "自己的模型需要 --shape，例如 3x224x224")
        )
    else:
        model = _own.module(name, arguments)
    shown = asked or networks.default_shape(name)
    try:
        summary = networks.summarise(model, shown)
    except Exception as error:  # whatever a network makes of a shape that it was not built for
        text = "x".join(map(str, shown))
        raise UsageError(
            say(
                f"{name} cannot read inputs of shape {text}: {first_line(error)}",
                f"{name} 无法读取形状为 {text} 的输入：{first_line(error)}",
            )
        ) from error
    _print_layers(summary)


@app.command(
    help=say(
        "List the data sets and where they were found, or fetch and check one.",
        "列出数据集及其位置，或获取并检查其中一个。",
    )
)
def data(
    name: Annotated[
        str | None, typer.Argument(help=say("a data set to fetch and check", "要获取并检查的数据集"))
    ] = None,
) -> None:
    from ..data import catalogue

    if name is None:
        for one in catalogue.available():
            missing = say("not here yet; 'actlab data NAME' fetches it", "尚未获取；用 actlab data 名称 获取")
            size = f"{one.size_bytes / 1e6:.1f} MB"
            print(f"{one.name}: {one.summary}\n  {one.licence}; {one.attribution}\n  {size}, {one.found or missing}")
        return
    found, where = catalogue.check(name)
    print(f"{name}: {found}{say(', checked', '，已检查')}\n{where}")


def _shape(text: str) -> tuple[int, ...]:
    try:
        shape = tuple(int(part) for part in text.lower().replace(",", "x").split("x"))
    except ValueError:
        shape = ()
    if not shape or min(shape) < 1:
        raise UsageError(say(f"expected a shape such as 1x224x224; got '{text}'", f"形状应如 1x224x224；得到“{text}”"))
    return shape


def _print_layers(summary: "Summary") -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    table.add_column(say("layer", "层"))
    table.add_column(say("kind", "类型"))
    for title in (
        say("output shape", "输出形状"),
        say("parameters", "参数"),
        say("multiply-adds", "乘加"),
        say("receptive field", "感受野"),
    ):
        table.add_column(title, justify="right")
    table.add_row(say("input", "输入"), "", "x".join(map(str, summary.input_shape)), "", "", "")
    for layer in summary.layers:
        field = f"{layer.receptive_field}x{layer.receptive_field}" if layer.receptive_field else say("all", "全部")
        count = f"{layer.parameters:,}" if layer.parameters else ""
        work = f"{layer.multiply_adds:,}" if layer.multiply_adds else ""
        table.add_row(layer.name, layer.kind, "x".join(map(str, layer.output_shape)), count, work, field)
    Console().print(table)
    print(
        say(
            f"{summary.parameters:,} parameters, {summary.multiply_adds / 1e6:,.3f} M multiply-adds forward for one example",
            f"共 {summary.parameters:,} 个参数，每个样本前向 {summary.multiply_adds / 1e6:,.3f} M 次乘加",
        )
    )
