"""`actlab compare`: which activation is best for a network and its data, with a verdict that can be trusted."""

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from .._files import write_whole
from .._language import language, say
from ..errors import UsageError
from . import app
from .training import changed, place

_QUICK = {"tuning": 1, "rates": 5, "screening": 3, "confirmation": 8, "finalists": 1}
_FULL = {"tuning": 2, "rates": 7, "screening": 5, "confirmation": 10, "finalists": 3}


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
    workers: Annotated[int, typer.Option(min=1, help=say("processes that train side by side", "并行训练的进程数"))] = 1,
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
    from .. import recipes
    from ..comparison.protocol import trainings
    from ..recipes.comparing import check_candidates, run_comparison
    from ..records import Declaration

    if (activations is None) == (vary is None):
        raise UsageError(
            say(
                "expected candidates: --activations relu,gelu, or another factor by --vary init=he,xavier",
                "需要候选：--activations relu,gelu，或用 --vary init=he,xavier 指定其他因素",
            )
        )
    factor, _, names = ("activation", "", activations) if activations is not None else (vary or "").partition("=")
    candidates = tuple(one.strip() for one in (names or "").split(",") if one.strip())
    target, data = _full(target), None if data is None else _full(data)
    model = candidates[0] if factor == "model" and candidates else None
    plan = recipes.plan(model or target)
    plan = changed(plan, {"data": {} if data is None else {"source": data}, "model": {}, "settings": {}}, set_ or [])
    size = _QUICK if quick else _FULL
    counted: Any = {
        "tuning_seeds": tuple(range(1001, 1001 + size["tuning"])),
        "screening_seeds": tuple(range(2001, 2001 + size["screening"])),
        "confirmation_seeds": tuple(range(3001, 3001 + (seeds or size["confirmation"]))),
    }
    middle, reach = plan.settings.learning_rate, size["rates"] // 2
    declared = _declared(
        Declaration,
        target=target, factor=factor, candidates=candidates, baseline=baseline or (candidates or ("",))[0], metric=metric,
        margin=margin if margin is not None else 0.02 if metric == "loss" else 0.005, steps=budget, finalists=size["finalists"],
        rates=tuple(middle * 10 ** (step / 2) for step in range(-reach, reach + 1)), plan=plan.model_dump(mode="json"), **counted,
    )  # fmt: skip
    check_candidates(declared)
    least, most = trainings(declared)
    folder = out or place(None, plan.model_copy(update={"recipe": "compare", "preset": ""}), False)
    if not as_json:
        print(say(f"{least:,} to {most:,} trainings of {budget:,} steps -> {folder}", f"{least:,} 至 {most:,} 次训练，每次 {budget:,} 步 -> {folder}"), flush=True)  # fmt: skip
    found = run_comparison(declared, folder, workers=workers, show=_Lines(quiet=as_json))
    page = _write(found, folder)
    print(found.model_dump_json(exclude={"trials"})) if as_json else _print(found, page)


def _full(name: str) -> str:
    """A file of the user's by its full path, so that other processes and later calls find it."""
    file, colon, what = name.rpartition(":")
    if colon and file.endswith(".py"):
        return f"{Path(file).expanduser().resolve()}:{what}"
    return str(Path(name).expanduser().resolve()) if not colon and Path(name).expanduser().is_dir() else name


def _declared(kind: Any, **values: Any) -> Any:
    from pydantic import ValidationError

    from ..train.settings import complaint

    try:
        return kind(**values)
    except ValidationError as error:
        raise complaint(error) from None


class _Lines:
    """A line at every quarter of what a stage has left."""

    def __init__(self, *, quiet: bool):
        self.quiet, self.whole, self.said, self.stage = quiet, 0, 0, ""

    def __call__(self, trial: Any, left: int) -> None:
        if trial.stage != self.stage or left >= self.whole:
            self.stage, self.whole, self.said = trial.stage, left + 1, 0
        parts = 4 * (self.whole - left) // self.whole
        if parts > self.said and not self.quiet:
            self.said = parts
            names = {
                "tuning": say("tuning", "调参"),
                "screening": say("screening", "初筛"),
                "confirmation": say("confirmation", "确认"),
            }
            print(f"{names[trial.stage]}: {self.whole - left:,} / {self.whole:,}", flush=True)


def _write(found: Any, folder: Path) -> Path:
    """The page, a row a trial, and what it cost."""
    import csv
    import io

    from .. import report
    from .._report_comparison import rows

    table, lines = rows(found), io.StringIO()
    writer = csv.DictWriter(lines, list(table[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(table)
    write_whole(folder / "comparison.csv", lambda file: file.write_text(lines.getvalue(), encoding="utf-8"))
    costs = json.dumps({"seconds_per_step": found.seconds_per_step}, indent=1) + "\n"
    write_whole(folder / "costs.json", lambda file: file.write_text(costs, encoding="utf-8"))
    return report.write_comparison(found, folder / "comparison.html", found.seconds_per_step)


def _print(found: Any, page: Path) -> None:
    from rich.console import Console

    from ..comparison import wording

    console, lang = Console(highlight=False, soft_wrap=True), language()
    console.print(getattr(wording.headline(found), lang), style="bold")
    for one in found.contrasts:
        console.print(f"  {getattr(wording.sentence(found, one), lang)}")
    console.print(getattr(wording.scope(found), lang), style="dim")
    print(page)
