"""`actlab compare`: which activation is best for a network and its data, with a verdict that can be trusted."""

import sys
import time
from contextlib import nullcontext, redirect_stdout
from pathlib import Path
from typing import Annotated, Any

import typer

from .._language import language, say
from ..errors import UsageError
from . import app
from .training import absolute, changed


@app.command(
    help=say(
        "Which activation is best for this network and these data: tuned, screened, confirmed on fresh paired seeds.",
        "对于此网络与数据，哪种激活函数最好：先调参、再初筛、最后用新的成对种子确认。",
    )
)
def compare(
    target: Annotated[
        str,
        typer.Argument(
            metavar="TARGET",
            help=say("a recipe, or file.py:callable that returns the network", "配方名，或返回网络的 file.py:callable"),
        ),
    ],
    activations: Annotated[
        str | None, typer.Option(help=say("candidates, separated by commas", "候选激活函数，以逗号分隔"))
    ] = None,
    vary: Annotated[
        str | None,
        typer.Option(
            metavar="FACTOR=A,B",
            help=say(
                "another factor: init=he,xavier or model=lenet,alexnet",
                "其他因素：init=he,xavier 或 model=lenet,alexnet",
            ),
        ),
    ] = None,
    baseline: Annotated[
        str | None,
        typer.Option(help=say("what the others are compared with (default: the first)", "比较的基线（默认第一个）")),
    ] = None,
    data: Annotated[
        str | None,
        typer.Option(help=say("data: a name, a folder, or file.py:callable", "数据：名称、文件夹或 file.py:callable")),
    ] = None,
    metric: Annotated[str, typer.Option(metavar="accuracy|loss", help=say("what decides", "评判指标"))] = "accuracy",
    margin: Annotated[
        float | None,
        typer.Option(
            help=say(
                "smallest difference of interest (default: 0.005 of accuracy, 0.02 of loss)",
                "有意义的最小差异（默认准确率 0.005，损失 0.02）",
            )
        ),
    ] = None,
    budget: Annotated[int, typer.Option(min=1, help=say("steps of every training", "每次训练的步数"))] = 300,
    seeds: Annotated[
        int | None,
        typer.Option(
            min=2, help=say("paired seeds of the confirmation (default: 10)", "确认阶段的成对种子数（默认 10）")
        ),
    ] = None,
    quick: Annotated[
        bool,
        typer.Option("--quick", help=say("one finalist, fewer seeds and rates", "只确认一个候选，减少种子与学习率")),
    ] = False,
    workers: Annotated[
        int | None,
        typer.Option(
            min=1,
            help=say(
                "processes that train side by side (default: as many as cores)", "并行训练的进程数（默认与核数相同）"
            ),
        ),
    ] = None,
    backend: Annotated[
        str,
        typer.Option(
            metavar="local|ray", help=say("processes of this machine, or of a Ray cluster", "本机进程，或 Ray 集群")
        ),
    ] = "local",
    address: Annotated[
        str | None,
        typer.Option(
            metavar="HOST:PORT",
            help=say("of the Ray cluster (default: the one running here)", "Ray 集群地址（默认本机正在运行的集群）"),
        ),
    ] = None,
    set_: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="NAME=VALUE", help=say("any setting of the trainings", "训练的任意设置")),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            help=say("folder; what is in it already is not trained again", "文件夹；其中已有的试验不会重新训练")
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help=say("print JSON", "输出 JSON"))] = False,
) -> None:
    from dataclasses import replace

    from .. import recipes
    from ..comparison.protocol import check
    from ..errors import UnknownName
    from ..recipes.comparing import check_candidates, fingerprinted, place_of, run_comparison
    from ..recipes.declaring import FULL, QUICK, declare

    if (activations is None) == (vary is None):
        raise UsageError(
            say(
                "expected candidates: --activations relu,gelu, or another factor by --vary init=he,xavier",
                "需要候选：--activations relu,gelu，或用 --vary init=he,xavier 指定其他因素",
            )
        )
    if backend not in ("local", "ray"):
        raise UnknownName("backend", backend, ("local", "ray"))
    factor, _, names = ("activation", "", activations) if activations is not None else (vary or "").partition("=")
    candidates = tuple(one.strip() for one in (names or "").split(",") if one.strip())
    target, data = _own_file(target), absolute(data)
    plan = recipes.plan(candidates[0] if factor == "model" and candidates else target)
    plan = changed(plan, {"data": {} if data is None else {"source": data}, "model": {}, "settings": {}}, set_ or [])
    size = QUICK if quick else FULL
    size = replace(size, confirmation=seeds) if seeds is not None else size
    declared = declare(target, plan, candidates, size, factor=factor, baseline=baseline, metric=metric, margin=margin, steps=budget)  # fmt: skip
    check_candidates(check(declared))
    show = _Lines(quiet=as_json)
    with redirect_stdout(sys.stderr) if as_json else nullcontext():  # a network of one's own may print
        declared = fingerprinted(declared)
        folder = out or place_of(declared)
        found = run_comparison(declared, folder, workers=workers, backend=backend, address=address, show=show, announce=show.announce)  # fmt: skip
    page = folder / "comparison.html"
    print(found.model_dump_json(exclude={"trials"})) if as_json else _print(found, page)


def _own_file(name: str) -> str:
    """A file of the user's by its full path, so that other processes and later calls find it."""
    file, colon, what = name.rpartition(":")
    return f"{Path(file).expanduser().resolve()}:{what}" if colon and file.endswith(".py") else name


class _Lines:
    """What it will cost, then a line at every quarter of a stage, with the time that the rest of the stage will take."""

    def __init__(self, *, quiet: bool):
        self.quiet, self.whole, self.left, self.said, self.stage, self.began = quiet, 0, 0, 0, "", 0.0

    def announce(self, cost: Any) -> None:
        """Before the first training."""
        if not self.quiet:
            if cost.part == "validation":
                print(say("no test part: the confirmation is scored on the validation data that rates are tuned on, and gives a validation winner, not more", "没有测试集：确认阶段在用于调参的验证数据上评分，只能得出“验证集优胜者”"))  # fmt: skip
            print(_cost(cost), flush=True)

    def __call__(self, trial: Any, left: int) -> None:
        if trial.stage != self.stage or left >= self.left:
            self.stage, self.whole, self.said, self.began = trial.stage, left + 1, 0, time.monotonic()
        self.left, done = left, self.whole - left
        parts = 4 * done // self.whole
        if parts > self.said and not self.quiet:
            self.said = parts
            names = {
                "tuning": say("tuning", "调参"),
                "screening": say("screening", "初筛"),
                "confirmation": say("confirmation", "确认"),
            }
            rest = (time.monotonic() - self.began) * left / max(1, done - 1) / 60  # since the first result
            more = say(f", {rest:.1f} minutes to go", f"，还需 {rest:.1f} 分钟") if left and rest >= 0.1 else ""
            print(f"{names[trial.stage]}: {done:,} / {self.whole:,}{more}", flush=True)


def _cost(cost: Any) -> str:
    """One line."""
    if not cost.least:
        return say(f"all its trainings are in {cost.folder}", f"所需训练均已在 {cost.folder} 中")
    least, most = (count * cost.seconds / cost.workers / 60 for count in (cost.least, cost.most))
    minutes = say(f"some {least:.1f} to {most:.1f} minutes", f"约 {least:.1f} 至 {most:.1f} 分钟") if most >= 1 else say("less than a minute", "不到一分钟")  # fmt: skip
    by = say(f" by {cost.workers} processes", f"（{cost.workers} 个进程）") if cost.workers > 1 else ""
    return say(
        f"{cost.least:,} to {cost.most:,} trainings of {cost.steps:,} steps, {minutes}{by} -> {cost.folder}",
        f"{cost.least:,} 至 {cost.most:,} 次训练，每次 {cost.steps:,} 步，{minutes}{by} -> {cost.folder}",
    )


def _print(found: Any, page: Path) -> None:
    from rich.console import Console

    from ..comparison import wording

    console, lang = Console(highlight=False, soft_wrap=True), language()
    console.print(getattr(wording.headline(found), lang), style="bold")
    for one in found.contrasts:
        console.print(f"  {getattr(wording.sentence(found, one), lang)}")
    for one in wording.cautions(found):
        console.print(getattr(one, lang))
    console.print(getattr(wording.scope(found), lang), style="dim")
    print(page)
