"""`actlab list`, `show` and `choose`: the catalogue of activation functions."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from .._language import say
from .._property_words import facts, number
from . import app

if TYPE_CHECKING:
    from ..activations import Activation


@app.command(
    name="list",
    help=say("List the activation functions, with what was measured of them.", "列出激活函数及其实测性质。"),
)
def list_them(
    search: Annotated[
        str | None,
        typer.Argument(
            help=say("only names, formulas and summaries with this text", "只列出名称、公式或简介含此文字的")
        ),
    ] = None,
    monotone: Annotated[bool | None, typer.Option(help=say("never falling or never rising", "单调"))] = None,
    bounded: Annotated[bool | None, typer.Option(help=say("on both sides", "上下有界"))] = None,
    smooth: Annotated[bool | None, typer.Option(help=say("continuous first derivative", "一阶导数连续"))] = None,
    zero_centred: Annotated[
        bool | None, typer.Option(help=say("mean output 0 for normal input", "正态输入的平均输出为 0"))
    ] = None,
    learnable: Annotated[bool | None, typer.Option(help=say("with parameters that learn", "含可学习参数"))] = None,
    vector: Annotated[
        bool | None, typer.Option(help=say("of a whole axis, such as softmax", "作用于整个轴，如 softmax"))
    ] = None,
) -> None:
    from ._listing import rows

    asked = {
        "monotone": monotone, "bounded": bounded, "smooth": smooth, "zero_centred": zero_centred, "learnable": learnable, "vector": vector,
    }  # fmt: skip
    _print_table([one.cells for one in rows() if one.fits(search, asked)])


def _print_table(lines: list[list[str]]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    for title in (say("name", "名称"), say("range", "值域"), say("trend", "走势"), say("form", "光滑性")):
        table.add_column(title, no_wrap=True)
    table.add_column(say("what it is", "简介"), no_wrap=True, overflow="ellipsis")
    for cells in lines:
        table.add_row(*cells)
    console = Console(highlight=False)
    (console if console.is_terminal else Console(highlight=False, width=200)).print(table)
    print(
        say(f"{len(lines)} functions; actlab show NAME explains one", f"共 {len(lines)} 个；actlab show 名称 查看详情")
    )


@app.command(
    help=say(
        "Explain an activation function: curve, properties, use, pitfalls.",
        "讲解一个激活函数：曲线、性质、用途、注意事项。",
    )
)
def show(
    name: Annotated[str, typer.Argument(help=say("a name or alias, such as gelu", "名称或别名，如 gelu"))],
    plot: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE.svg|png", help=say("also draw f, f' and f'' into this file", "并把 f、f'、f'' 画入此文件")
        ),
    ] = None,
    set: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="NAME=NUMBER", help=say("a parameter, such as a=0.2", "参数，如 a=0.2")),
    ] = None,
) -> None:
    from .. import activations

    entry = activations.get(name)
    values = _values(entry, set or [])
    explain(entry, values)
    if plot is not None:
        draw(entry, plot, values)


def _values(entry: Any, given: list[str]) -> dict[str, float]:
    """Parameters of an entry, checked."""
    from ..errors import UsageError

    values = _numbers(given)
    if values:
        try:
            entry.check(values)
        except TypeError as error:
            raise UsageError(str(error)) from None
    return values


def _numbers(given: list[str]) -> dict[str, float]:
    from ..errors import UsageError

    values: dict[str, float] = {}
    for one in given:
        name, _, text = one.partition("=")
        try:
            values[name] = float(text)
        except ValueError:
            raise UsageError(
                say(f"expected NAME=NUMBER, such as a=0.2; got '{one}'", f"应为 名称=数，如 a=0.2；得到“{one}”")
            ) from None
    return values


def draw(entry: Any, path: Path, values: dict[str, float]) -> None:
    """The picture, for entries that have one."""
    from .. import activations
    from .._language import language
    from ..errors import UsageError
    from ..plot import activation_picture

    if isinstance(entry, activations.VectorActivation):
        raise UsageError(
            say(
                f"{entry.name} is a function of whole vectors: there is no curve to draw",
                f"{entry.name} 是向量函数，没有曲线可画",
            )
        )
    print(activation_picture(entry, path, language(), **values))


def explain(entry: Any, values: dict[str, float]) -> None:
    """Everything about an entry, on the terminal."""
    from .. import activations

    also = [*entry.also, *(f"{one} ({_listed(preset)})" for one, preset in entry.presets.items())]
    print(f"{entry.name}: {entry.summary}")
    print(f"\n  f(x) = {entry.formula}\n")
    if not isinstance(entry, activations.VectorActivation):
        _charts(entry, values)
        _rows([*facts(entry, values), *_parameter_rows(entry, values)])
    teaching = entry.teaching
    rows = [
        (say("good for", "适用"), str(teaching.good) if teaching else ""),
        (say("pitfalls", "注意"), str(teaching.bad) if teaching else ""),
        (say("compare", "比较"), ", ".join(teaching.related) if teaching else ""),
        (say("source", "出处"), entry.source),
        (say("also", "别名"), ", ".join(also)),
        *((library, call) for library, call in entry.elsewhere.items() if _as_elsewhere(entry, values)),
    ]
    _rows(rows)


def _as_elsewhere(entry: Any, values: dict[str, float]) -> bool:
    """Whether the parameters are those with which other libraries are named."""
    defaults = {one.name: one.default for one in entry.parameters}
    return all(defaults[name] == value for name, value in values.items())


def _listed(values: dict[str, float]) -> str:
    return ", ".join(f"{name} = {value:.4g}" for name, value in values.items())


def _charts(entry: "Activation", values: dict[str, float]) -> None:
    """f and f' side by side."""
    import torch

    from ._braille import chart

    x = torch.linspace(-5, 5, 401, dtype=torch.float64)
    measured = entry.properties(**values)
    blocks = []
    for order, title, breaks in ((0, "f", measured.jumps), (1, "f'", (*measured.jumps, *measured.kinks))):
        y = entry.evaluate(x, order, **values)
        for place in breaks:  # a gap, not a stroke from one side to the other
            y = torch.where((x - place).abs() < 0.08, torch.nan, y)
        low, high = float(y.nan_to_num().clamp(-6, 6).min()), float(y.nan_to_num().clamp(-6, 6).max())
        low, high = min(low, 0.0), max(high, 0.0)
        if high - low < 1e-9:
            low, high = -1.0, 1.0
        shown = [None if value != value else value for value in y.tolist()]
        lines = chart(shown, width=34, height=11, low=low, high=high, left=-5, right=5)
        blocks.append([f"{title}(x)", *lines])
    width = max(map(len, blocks[0]))
    for left, right in zip(*blocks, strict=True):
        print(f"  {left:<{width}}   {right}".rstrip())
    print()


def _parameter_rows(entry: "Activation", values: dict[str, float]) -> list[tuple[str, str]]:
    rows = []
    for one in entry.parameters:
        domain = f"({number(one.domain.low)}, {number(one.domain.high)})"
        learns = say(", learnt", "，可学习") if one.domain.learnable else ""
        rows.append(
            (
                say(f"parameter {one.name}", f"参数 {one.name}"),
                f"{values.get(one.name, one.default):.6g}{say(' in ', '，范围 ')}{domain}{learns}",
            )
        )
    return rows


def _rows(rows: list[tuple[str, str]]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, show_header=False, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column(no_wrap=True, style="bold")
    table.add_column(overflow="fold")
    for words, text in rows:
        if text:
            table.add_row(f"  {words}", text)
    Console(highlight=False, markup=False).print(table)


@app.command(
    help=say(
        "Say which activation function suits a place in a network, and why.", "说明网络中某处适合哪个激活函数及理由。"
    )
)
def choose(
    task: Annotated[
        str,
        typer.Option(help="classification, multilabel, regression, positive, bounded, rare-event"),
    ] = "classification",
    layer: Annotated[str, typer.Option(help="output, hidden, gate")] = "hidden",
    classes: Annotated[int | None, typer.Option(help=say("number of classes", "类别数"))] = None,
    network: Annotated[
        str, typer.Option(help="any, mlp, cnn, mobile, rnn, transformer, implicit, self-normalising")
    ] = "any",
) -> None:
    from ..choosing import advise

    advice = advise(task=task, layer=layer, classes=classes, network=network)
    print(f"{advice.name}: {advice.why}")
    _rows(
        [
            (say("with it", "配合"), str(advice.with_it)),
            (say("or", "也可"), ", ".join(advice.instead)),
            (say("more", "详情"), f"actlab show {advice.name}"),
        ]
    )


@app.command(
    help=say(
        "Look at an activation function of one's own, given as a formula in x.",
        "查看自己用公式定义的激活函数（变量为 x）。",
    )
)
def define(
    formula: Annotated[str, typer.Argument(help=say("such as 'x * tanh(c * x)'", "如 'x * tanh(c * x)'"))],
    set: Annotated[
        list[str] | None, typer.Option("--set", metavar="NAME=NUMBER", help=say("a parameter of it", "其中的参数"))
    ] = None,
    show: Annotated[
        bool, typer.Option("--show", help=say("curves and properties (default)", "曲线与性质（默认）"))
    ] = False,
    plot: Annotated[
        Path | None,
        typer.Option(metavar="FILE.svg|png", help=say("draw f, f' and f'' into this file", "把 f、f'、f'' 画入此文件")),
    ] = None,
) -> None:
    from ..activations import define as defined

    entry = defined("own", formula, **_numbers(set or []))
    if show or plot is None:
        explain(entry, {})
        definition = entry.definition()
        _rows(
            [
                ("f", definition.torch_code()),
                ("f'", definition.torch_code(1)),
                ("LaTeX", entry.latex()),
                ("LaTeX f'", entry.latex(1)),
                ("JavaScript", definition.javascript()),
            ]
        )
    if plot is not None:
        draw(entry, plot, {})
