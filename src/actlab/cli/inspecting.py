"""`actlab inspect`: pictures of what a network has learnt and of how it learns."""

import json
import math
from pathlib import Path
from typing import Annotated, Any

import typer

from .._language import language, say
from ..errors import UsageError
from . import app
from .results import AsJson, RunPath

inspecting = typer.Typer(
    help=say(
        "Look into a network: filters, feature maps, receptive fields, attention, loss surfaces, back-propagation step by step.",
        "观察网络内部：滤波器、特征图、感受野、注意力、损失曲面，以及逐步的反向传播。",
    ),
    no_args_is_help=True,
)
app.add_typer(inspecting, name="inspect")

Target = Annotated[
    str,
    typer.Argument(
        metavar="TARGET",
        help=say(
            "a run directory, or file.py:callable that returns the network", "运行目录，或返回网络的 file.py:callable"
        ),
    ),
]
ImageItem = Annotated[
    str,
    typer.Argument(
        metavar="IMAGE",
        help=say(
            "an image file, or test:17 for that image of the run's own data",
            "图像文件，或运行自带数据的图像，如 test:17",
        ),
    ),
]
Layer = Annotated[
    str | None,
    typer.Option(
        help=say("its name, as named_modules() gives it", "层的名称，与 named_modules() 一致"),
        show_default=say("the last convolution", "最后一个卷积层"),
    ),
]
Shape = Annotated[
    str | None,
    typer.Option(
        "--input",
        metavar="C,H,W",
        help=say("for file.py:callable: channels, height and width of the image", "自己的网络：图像的通道数、高、宽"),
        show_default=say("the first convolution's channels, the file's size", "第一个卷积层的通道数、文件的大小"),
    ),
]
At = Annotated[str | None, typer.Option(metavar="ROW,COLUMN", help=say("a place in the layer's map", "在该层特征图中的位置"))]  # fmt: skip
Picture = Annotated[Path | None, typer.Option("--plot", help=say("draw it into this PNG or SVG", "画到此 PNG 或 SVG"))]


@inspecting.command(help=say("What the first layer looks for: its filters.", "第一层寻找什么：它的滤波器。"))
def filters(
    target: Target,
    layer: Annotated[
        str | None,
        typer.Option(
            help=say("its name, as named_modules() gives it", "层的名称，与 named_modules() 一致"),
            show_default=say("the first", "第一层"),
        ),
    ] = None,
    picture: Picture = None,
    as_json: AsJson = False,
) -> None:
    from ..inspection import filters as look
    from ..recipes.inspected import network

    found = look(network(target), layer)
    _draw(picture, lambda drawings: drawings.of_filters(found))
    if as_json:
        print(_json(found.facts()))
        return
    count, channels, height, width = found.weights.shape
    low, high = float(found.norms.min()), float(found.norms.max())
    print(
        say(
            f"{found.layer} ({found.kind}): {count} filters of {channels} x {height} x {width}, norms {low:.3g} to {high:.3g}",
            f"{found.layer}（{found.kind}）：{count} 个 {channels} x {height} x {width} 的滤波器，范数 {low:.3g} 到 {high:.3g}",
        )
    )
    print(
        say(f"below a hundredth of the largest norm: {_some(found.faint)}", f"不到最大范数百分之一：{_some(found.faint)}")
    )  # fmt: skip
    _say_where(picture)


@inspecting.command(help=say("What a layer finds in an image: its feature maps.", "某层在图像中找到什么：它的特征图。"))
def features(
    target: Target,
    image: ImageItem,
    layer: Layer = None,
    shape: Shape = None,
    picture: Picture = None,
    as_json: AsJson = False,
) -> None:
    from ..inspection import features as look
    from ..recipes.inspected import seen

    model, one = seen(target, image, _numbers(shape, 3, "--input", "1,28,28"))
    found = look(model, one.inputs, layer)
    _draw(picture, lambda drawings: drawings.of_features(found, one.shown))
    if as_json:
        print(_json(found.facts()))
        return
    shape_ = " x ".join(map(str, found.values.shape))
    print(
        say(
            f"{found.layer} ({found.kind}): {shape_}; silent everywhere: {_some(found.silent)}",
            f"{found.layer}（{found.kind}）：{shape_}；处处静默：{_some(found.silent)}",
        )
    )
    best = found.largest.topk(min(5, len(found.largest)))
    for value, number in zip(best.values.tolist(), best.indices.tolist(), strict=True):
        mean = float(found.means[number])
        print("  " + say(f"channel {number}: largest {value:.4g}, mean {mean:.4g}", f"通道 {number}：最大 {value:.4g}，平均 {mean:.4g}"))  # fmt: skip
    _say_where(picture)


@inspecting.command("receptive-field", help=say("What one unit sees of an image: its receptive field.", "一个单元看到图像的哪些部分：它的感受野。"))  # fmt: skip
def receptive_field(
    target: Target,
    image: ImageItem,
    layer: Layer = None,
    channel: Annotated[
        int | None,
        typer.Option(
            min=0,
            help=say("of the layer, or the number of its unit", "该层的通道，或单元编号"),
            show_default=say("that of the largest response", "响应最大者"),
        ),
    ] = None,
    at: At = None,
    shape: Shape = None,
    picture: Picture = None,
    as_json: AsJson = False,
) -> None:
    from ..inspection import receptive
    from ..recipes.inspected import seen

    place = _numbers(at, 2, "--at", "3,4")
    model, one = seen(target, image, _numbers(shape, 3, "--input", "1,28,28"))
    found = receptive(model, one.inputs, layer, channel=channel, at=place)
    _draw(picture, lambda drawings: drawings.of_receptive(found, one.shown))
    if as_json:
        print(_json(found.facts()))
        return
    _print_field(found)
    _say_where(picture)


def _print_field(found: Any) -> None:
    where = "" if found.at is None else say(f", row {found.at[0]}, column {found.at[1]}", f"，第 {found.at[0]} 行第 {found.at[1]} 列")  # fmt: skip
    print(
        say(
            f"{found.layer} ({found.kind}), channel {found.channel}{where}: response {found.value:.4g}",
            f"{found.layer}（{found.kind}），通道 {found.channel}{where}：响应 {found.value:.4g}",
        )
    )
    top, left, bottom, right = found.box
    if not bottom:
        print(say("no pixel can reach it: it sees nothing but padding", "没有像素能到达它：它只看到填充"))
        return
    edge = say(", up to the edge of the image", "，到达图像边缘") if found.cut else ""
    print(
        say(
            f"can reach it: {bottom - top} x {right - left} pixels, rows {top} to {bottom - 1}, columns {left} to {right - 1}{edge}",
            f"能到达它的像素：{bottom - top} x {right - left}，第 {top} 到 {bottom - 1} 行，第 {left} 到 {right - 1} 列{edge}",
        )
    )
    if found.radius is None:
        print(say("it is silent for this image: no gradient comes back", "它对此图像静默：没有梯度传回"))
        return
    print(
        say(
            f"90 % of the gradient lie within {found.radius:.1f} pixels of its centre; {found.middle_share:.0%} in the middle quarter of the box",
            f"90% 的梯度位于其中心 {found.radius:.1f} 像素之内；{found.middle_share:.0%} 位于方框中央四分之一内",
        )
    )


@inspecting.command(help=say("Who looks at whom: the weights of an attention layer, head by head.", "谁注视谁：注意力层各头的权重。"))  # fmt: skip
def attention(
    run: RunPath,
    item: Annotated[
        str,
        typer.Argument(
            metavar="ITEM",
            help=say(
                "an image (or test:17), a sentence, a word, a .wav file, or a node's number, as the run's kind is",
                "视运行种类：图像（或 test:17）、句子、单词、.wav 文件或节点编号",
            ),
        ),
    ],
    layer: Annotated[
        str | None,
        typer.Option(help=say("an attention layer", "注意力层"), show_default=say("the last", "最后一个")),
    ] = None,
    at: Annotated[
        str | None,
        typer.Option(
            metavar="ROW,COLUMN",
            help=say("of an image: what this patch looks at", "对图像：此图块注视何处"),
            show_default=say("the mean of all", "所有图块的平均"),
        ),
    ] = None,
    picture: Picture = None,
    as_json: AsJson = False,
) -> None:
    from ..recipes.attending import attended

    place = _numbers(at, 2, "--at", "3,4")
    found = attended(run, item, layer)
    query = found.query(place)
    _draw(picture, lambda drawings: drawings.of_patches(found.heads, found.image, query) if found.image is not None else drawings.of_heads(found.heads, found.rows, found.columns, query))  # fmt: skip
    if as_json:
        print(_json({**found.heads.facts(), "rows": found.rows, "columns": found.columns}))
        return
    print(f"{found.heads.layer}: {' x '.join(map(str, found.heads.weights.shape))}")
    for number, (even, row, column, weight) in enumerate(found.strongest(query)):
        print(
            "  "
            + say(
                f"head {number}: {'' if even is None else f'evenness {even:.2f}; '}most: '{row}' looks at '{column}', {weight:.3f}",
                f"头 {number}：{'' if even is None else f'均匀度 {even:.2f}；'}最强：“{row}”注视“{column}”，{weight:.3f}",
            )
        )
    _say_where(picture)


def _numbers(text: str | None, count: int, option: str, example: str) -> Any:
    """`1,28,28` as whole numbers; None stays None."""
    if text is None:
        return None
    parts = [one.strip() for one in text.split(",")]
    least = 1 if option == "--input" else 0
    if len(parts) != count or not all(one.isdecimal() and int(one) >= least for one in parts):
        raise UsageError(
            say(
                f"expected {count} whole numbers for {option}, such as {example}; got '{text}'",
                f"{option} 需要 {count} 个整数，例如 {example}；得到“{text}”",
            )
        )
    return tuple(map(int, parts))


def _json(facts: dict[str, Any]) -> str:
    """As JSON, which knows no NaN and no infinity: null stands for them."""

    def finite(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: finite(one) for key, one in value.items()}
        if isinstance(value, list | tuple):
            return [finite(one) for one in value]
        return None if isinstance(value, float) and not math.isfinite(value) else value

    return json.dumps(finite(facts), ensure_ascii=False, allow_nan=False)


def _some(numbers: list[int]) -> str:
    """How many, and the first of them."""
    if not numbers:
        return say("none", "无")
    listed = ", ".join(map(str, numbers[:12])) + (", …" if len(numbers) > 12 else "")
    return f"{len(numbers)} ({listed})" if language() == "en" else f"{len(numbers)} 个（{listed}）"


def _draw(path: Path | None, make: Any) -> None:
    if path is not None:
        from .. import _plot_inspection
        from ..plot import inspection_picture

        inspection_picture(make(_plot_inspection), path, language())


def _say_where(path: Path | None) -> None:
    if path is not None:
        print(path)
