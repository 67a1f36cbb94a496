"""`actlab inspect surface`, `two-weights` and `backprop`: how the loss lies, and how errors flow back."""

import errno
import json
import math
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer

from .._files import cannot_write, write_whole
from .._language import language, say
from ..errors import UsageError
from .inspecting import inspecting
from .results import AsJson
from .sequences import Picture

Activation = Annotated[str, typer.Option(help=say("a pointwise entry of the catalogue", "目录中的逐元素激活函数"))]


@inspecting.command(
    help=say(
        "Draw the loss around the weights: the plane of two random filter-normalised directions (Li et al. 2018).",
        "画出权重附近的损失：两个按滤波器归一化的随机方向所张的平面（Li 等，2018）。",
    )
)
def surface(
    target: Annotated[
        str,
        typer.Argument(
            metavar="TARGET",
            help=say("file.py:callable that returns the network, or a run directory", "返回网络的 file.py:callable，或运行目录"),
        ),
    ],
    data: Annotated[
        str | None,
        typer.Option(help=say("file.py:callable that returns batches (inputs, targets)", "返回（输入，目标）批次的 file.py:callable")),
    ] = None,
    loss: Annotated[
        str | None,
        typer.Option(help=say("file.py:callable of (outputs, targets); default: cross-entropy", "以（输出，目标）为参数的 file.py:callable；默认交叉熵")),
    ] = None,
    span: Annotated[float, typer.Option(help=say("how far, in norms of the filters", "范围，以滤波器的范数为单位"))] = 1.0,
    points: Annotated[int, typer.Option(help=say("along each direction; odd", "每个方向的点数；奇数"))] = 21,
    seed: Annotated[int, typer.Option(min=0, max=2**63 - 1, help=say("of the directions", "方向的随机种子"))] = 0,
    batches: Annotated[int, typer.Option(min=1, help=say("at most so many batches", "最多使用的批数"))] = 4,
    picture: Picture = None,
    table: Annotated[Path | None, typer.Option("--csv", help=say("write the grid into this file", "把网格写入此文件"))] = None,
    as_json: AsJson = False,
) -> None:  # fmt: skip
    from ..inspection import loss_surface
    from ..inspection.surface import check_grid

    check_grid(span, points)  # before anything slow
    _check_paths(picture, table)
    model, given, scored, name = _subject(target, data, loss, batches)
    with _progress(points * points) as advance:
        how = {"span": span, "points": points, "seed": seed, "most": batches, "progress": advance}
        found = loss_surface(model, given, scored, **how)
    if table is not None:
        write_whole(table, lambda temporary: temporary.write_text(_csv(found), encoding="utf-8"))
    if picture is not None:
        from ..plot import surface_picture

        surface_picture(found, name, picture, language())
    if as_json:
        print(json.dumps({"name": name, **_surface_facts(found)}, ensure_ascii=False))
        return
    _print_surface(found, name)
    for path in (picture, table):
        if path is not None:
            print(path)


def _subject(target: str, data: str | None, loss: str | None, batches: int) -> tuple[Any, Any, Any, str]:
    """Network, batches, loss and name, of one's own parts or of a run."""
    from .. import _own
    from ..diagnosis.diagnosing import read

    if ":" not in target:
        from ..recipes.subject import subject

        if data is not None or loss is not None:
            raise UsageError(say("a run has its own data and loss; leave out --data and --loss", "运行自带数据与损失；请去掉 --data 和 --loss"))  # fmt: skip
        one = subject(target, batches=batches)
        return one.model, one.batches, one.loss, one.plan.model.name
    if data is None:
        raise UsageError(say(f"expected batches for {target}: name them with --data file.py:callable", f"{target} 需要数据：请用 --data file.py:callable 指定"))  # fmt: skip
    model = _own.module(target, {})
    return model, read(_own.call(data, {}), batches), None if loss is None else _own.load(loss), type(model).__name__


def _check_paths(picture: Path | None, table: Path | None = None) -> None:
    """Raises what writing would raise after the work, before it."""
    if picture is not None and picture.suffix.lower() not in (".png", ".svg"):
        raise UsageError(say(f"expected a file ending in .png or .svg; got '{picture}'", f"文件应以 .png 或 .svg 结尾；得到“{picture}”"))  # fmt: skip
    for path in (picture, table):
        if path is not None and not path.parent.is_dir():
            raise cannot_write(path, FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT)))


@contextmanager
def _progress(total: int) -> Iterator[Callable[[int], object] | None]:
    """A bar on a terminal, gone at the end; nothing elsewhere."""
    if not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(say("points", "网格点"), total=total)
        yield lambda done: bar.update(task, completed=done)


def _number(value: float) -> float | None:
    return value if math.isfinite(value) else None  # JSON knows no NaN


def _surface_facts(found: Any) -> dict[str, Any]:
    (lowest, *low_at), (highest, *high_at) = found.lowest, found.highest
    largest, smallest = found.curvatures
    return {
        "centre": _number(found.centre),
        "lowest": {"loss": _number(lowest), "at": [_number(one) for one in low_at]},
        "highest": {"loss": _number(highest), "at": [_number(one) for one in high_at]},
        "curvature": {"largest": _number(largest), "smallest": _number(smallest)},
        "not_finite": found.not_finite,
        "examples": found.examples,
        "batches": found.batches,
        "layers_by_batch": found.by_batch,
        "seed": found.seed,
        "offsets": found.offsets.tolist(),
        "losses": [[_number(one) for one in row] for row in found.losses.tolist()],
    }


def _csv(found: Any) -> str:
    offsets = found.offsets.tolist()
    rows = [
        f"{a:.17g},{b:.17g},{value:.17g}"
        for b, row in zip(offsets, found.losses.tolist(), strict=True)
        for a, value in zip(offsets, row, strict=True)
    ]
    return "\n".join(["first,second,loss", *rows]) + "\n"


def _print_surface(found: Any, name: str) -> None:
    count, span = found.losses.numel(), float(found.offsets[-1])
    largest, smallest = found.curvatures

    def place(at: tuple[float, float, float]) -> str:
        return say(f"{at[0]:.4g}  at ({at[1]:.3g}, {at[2]:.3g})", f"{at[0]:.4g}  位于 ({at[1]:.3g}, {at[2]:.3g})")

    print(say(
        f"{name}: {count} points along each direction up to {span:g} x the norm of the filters from the weights, {found.examples:,} examples, seed {found.seed}",
        f"{name}：沿每个方向距权重至多 {span:g} 倍滤波器范数的 {count} 个点，{found.examples:,} 个样本，种子 {found.seed}",
    ))  # fmt: skip
    print(say("  loss at the weights     ", "  权重处的损失  ") + f"{found.centre:.4g}")
    print(say("  lowest on the grid      ", "  网格上最低    ") + place(found.lowest))
    print(say("  highest on the grid     ", "  网格上最高    ") + place(found.highest))
    if math.isfinite(largest):
        bent = say("  (negative: no minimum here)", "  （为负：此处不是极小点）") if smallest < 0 else ""
        print(say("  curvature in the plane  ", "  平面内的曲率  ") + say(f"largest {largest:.4g}, smallest {smallest:.4g}", f"最大 {largest:.4g}，最小 {smallest:.4g}") + bent)  # fmt: skip
    if found.not_finite:
        print(say(f"  {found.not_finite} of {count} points are not finite", f"  {count} 个点中有 {found.not_finite} 个的损失非有限"))  # fmt: skip
    if found.by_batch:
        print(say(
            f"  {found.by_batch} normalisation layers use the statistics of each batch, as in training: the running ones fit only the weights in the middle",
            f"  {found.by_batch} 个归一化层使用每批的统计量（与训练时相同）：滑动统计量只适合中心处的权重",
        ))  # fmt: skip


@inspecting.command(
    "two-weights",
    help=say(
        "The loss of y = sigmoid(w2 f(w1 x)) over both weights: where squared error and cross-entropy are flat.",
        "y = sigmoid(w2 f(w1 x)) 的损失随两个权重的变化：平方误差与交叉熵在何处平坦。",
    ),
)
def weights(
    activation: Activation = "sigmoid",
    loss: Annotated[str, typer.Option(help="both, squared, cross-entropy")] = "both",
    x: Annotated[float, typer.Option("--x", help=say("the input", "输入"))] = 1.0,
    target: Annotated[float, typer.Option(help=say("from 0 to 1", "0 到 1"))] = 0.0,
    span: Annotated[float, typer.Option(help=say("of both weights, to either side", "两个权重的范围"))] = 10.0,
    points: Annotated[int, typer.Option(max=2001, help=say("along each weight", "每个权重的点数"))] = 201,
    picture: Picture = None,
    as_json: AsJson = False,
) -> None:
    from ..errors import UnknownName
    from ..inspection.two_weights import LOSSES, two_weights

    if loss not in ("both", *LOSSES):
        raise UnknownName(say("loss", "损失函数"), loss, ("both", *LOSSES))
    _check_paths(picture)
    chosen = list(LOSSES) if loss == "both" else [loss]
    found = [two_weights(activation, one, x=x, target=target, span=span, points=points) for one in chosen]
    if picture is not None:
        from ..plot import two_weights_picture

        two_weights_picture(found, picture, language())
    if as_json:
        shares = ("activation", "loss", "x", "target", "flat", "plateau", "bent")
        print(json.dumps([{name: getattr(one, name) for name in shares} for one in found]))
        return
    _print_two_weights(found, span)
    if picture is not None:
        print(picture)


def _print_two_weights(found: list[Any], span: float) -> None:
    from ..inspection.backpropagation import LOSSES

    one = found[0]
    print(say(
        f"y = sigmoid(w2 {one.activation}(w1 x)), x = {one.x:g}, target {one.target:g}, w1 and w2 from {-span:g} to {span:g}",
        f"y = sigmoid(w2 {one.activation}(w1 x))，x = {one.x:g}，目标 {one.target:g}，w1 与 w2 从 {-span:g} 到 {span:g}",
    ))  # fmt: skip
    for one in found:
        print(f"{say(*LOSSES[one.loss])}:")
        print(say(
            f"  flat {one.flat:.1%} of the area: gradient below 1/100 of the largest\n"
            f"  plateaus {one.plateau:.1%}: flat although the output is wrong by more than 3/4\n"
            f"  not convex {one.bent:.1%}: curved downwards in some direction",
            f"  平坦 {one.flat:.1%}（占面积）：梯度不足最大值的 1/100\n"
            f"  高原 {one.plateau:.1%}：平坦，而输出误差大于 3/4\n"
            f"  非凸 {one.bent:.1%}：在某个方向上向下弯曲",
        ))  # fmt: skip


@inspecting.command(
    help=say(
        "Back-propagation step by step in a small network: every sum written out, and compared with autograd.",
        "在小网络中逐步演示反向传播：写出每一步的算式，并与自动微分比较。",
    )
)
def backprop(
    layers: Annotated[str, typer.Option(help=say("units of each layer, the inputs first", "各层单元数，输入层在前"))] = "2,3,1",
    activation: Activation = "sigmoid",
    loss: Annotated[str, typer.Option(help="squared, cross-entropy")] = "squared",
    seed: Annotated[int, typer.Option(min=0, max=2**63 - 1, help=say("of weights and inputs", "权重与输入的随机种子"))] = 0,
    inputs: Annotated[str | None, typer.Option(help=say('such as "0.5,-1"; default: drawn', "例如“0.5,-1”；默认随机"))] = None,
    targets: Annotated[str | None, typer.Option(help=say('such as "1"; default: 1,0,1,...', "例如“1”；默认 1,0,1,…"))] = None,
    picture: Picture = None,
    as_json: AsJson = False,
) -> None:  # fmt: skip
    from rich.console import Console
    from rich.text import Text

    from ..inspection import backpropagate
    from ..inspection.steps import as_lists, steps

    _check_paths(picture)
    sizes = [int(one) for one in _numbers("layers", layers, whole=True)]
    given = {"inputs": inputs, "targets": targets}
    vectors: Any = {name: None if text is None else _numbers(name, text) for name, text in given.items()}
    found = backpropagate(sizes, activation, loss, seed=seed, **vectors)
    if picture is not None:
        from ..plot import backpropagation_picture

        backpropagation_picture(found, picture, language())
    if as_json:
        print(json.dumps(as_lists(found)))
        return
    console = Console(highlight=False, soft_wrap=True)
    for line in steps(found):
        console.print(Text(line, style="" if line.startswith(" ") else "bold"))
    if picture is not None:
        print(picture)


def _numbers(name: str, text: str, *, whole: bool = False) -> list[float]:
    """The numbers in a text such as "0.5,-1"."""
    try:
        return [int(one) if whole else float(one) for one in text.split(",")]
    except ValueError:
        example = "2,3,1" if whole else "0.5,-1"
        raise UsageError(say(f"expected --{name} to be numbers with commas between them, such as {example}; got '{text}'", f"--{name} 应为逗号分隔的数，例如 {example}；得到“{text}”")) from None  # fmt: skip
