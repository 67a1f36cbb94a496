"""`actlab evaluate`, `predict`, `runs` and `report`: they read run directories."""

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from .._language import say
from ..errors import ActlabError, UsageError
from . import app

RunPath = Annotated[Path, typer.Argument(metavar="RUN", help=say("a run directory", "运行目录"))]
AsJson = Annotated[bool, typer.Option("--json", help=say("print JSON", "输出 JSON"))]


@app.command(
    help=say("Evaluate a trained run on its test part or on other data.", "在测试部分或其他数据上评估训练好的运行。")
)
def evaluate(
    run: RunPath,
    data: Annotated[
        str | None, typer.Option(help=say("other data: a name, a folder or a file", "其他数据：名称、文件夹或文件"))
    ] = None,
    part: Annotated[str, typer.Option(help="train, validation, test")] = "test",
    limit: Annotated[int | None, typer.Option(help=say("at most so many examples", "最多使用的样本数"))] = None,
    as_json: AsJson = False,
) -> None:
    from ..errors import UnknownName
    from ..recipes.load import Trained, kind
    from ..recipes.load_task import TrainedTask

    if part not in ("train", "validation", "test"):
        raise UnknownName("part", part, ("train", "validation", "test"))
    trained = Trained(run) if kind(run) == "images" else TrainedTask(run)
    result = trained.evaluate(data, part, limit)
    if as_json:
        print(result.model_dump_json(exclude={"mistakes"}))
        return
    accuracy = f"{say('accuracy', '准确率')} {result.accuracy:.4f}  " if result.accuracy is not None else ""
    print(
        f"{part} {accuracy}{say('loss', '损失')} {result.loss:.4f}  {say(f'on {result.count:,} examples', f'共 {result.count:,} 个样本')}"
    )
    for line in score_lines(result.scores):
        print(line)


def score_lines(scores: dict[str, float]) -> list[str]:
    """Scores of a task, one a line."""
    from .._language import language
    from .._report_text import score_name

    return [f"  {getattr(score_name(name), language())} {value:.4f}" for name, value in scores.items()]


@app.command(
    help=say(
        "What a trained run makes of your own images, sentences or recordings.",
        "用训练好的运行处理您自己的图像、句子或录音。",
    )
)
def predict(
    run: RunPath,
    items: Annotated[
        list[str],
        typer.Argument(
            metavar="ITEM...", help=say("image files, sentences or .wav files", "图像文件、句子或 .wav 文件")
        ),
    ],
    top: Annotated[int, typer.Option(min=1, help=say("how many classes to show", "显示的类别数"))] = 3,
    as_json: AsJson = False,
) -> None:
    from ..recipes.load import Trained, kind
    from ..recipes.load_task import TrainedTask

    found = kind(run)
    if found == "images":
        answers = Trained(run).predict([Path(item) for item in items], top)
    else:
        trained = TrainedTask(run, "slots", "speech", "graph")
        task = trained.task
        read = (
            task.read
            if found == "slots"
            else lambda model, item: getattr(task, "hear" if found == "speech" else "tell")(model, item, top)
        )
        answers = [read(trained.model, item) for item in items]
    if as_json:
        print(json.dumps(answers, ensure_ascii=False))
    elif found == "slots":
        _print_sentences(answers)
    else:
        _print_classes(answers, {"images": "image", "speech": "recording"}.get(found, "node"))


def _print_classes(answers: list[dict[str, Any]], what: str) -> None:
    from rich.console import Console
    from rich.table import Table

    title = {"image": say("image", "图像"), "recording": say("recording", "录音"), "node": say("node", "节点")}[what]
    table = Table(title, say("class", "类别"), say("probability", "概率"))
    for answer in answers:
        for number, (label, probability) in enumerate(answer["classes"].items()):
            table.add_row(
                "" if number else answer[what], label, f"{probability:.4f}", style="bold" if not number else "dim"
            )
    Console().print(table)


_COLOURS = ("cyan", "magenta", "green", "yellow", "blue", "red")


def _print_sentences(answers: list[dict[str, Any]]) -> None:
    """Each sentence as a line in which every slot has its colour and its name, then the intent."""
    from rich.console import Console
    from rich.text import Text

    console = Console(highlight=False)
    colours: dict[str, str] = {}
    for answer in answers:
        line, open_slot = Text(), ""
        for number, (word, label) in enumerate(zip(answer["words"], answer["slots"], strict=True)):
            kind, _, slot = label.partition("-")
            if open_slot and kind != "I":
                line.append(f" {open_slot}]", style=f"dim {colours[open_slot]}")
                open_slot = ""
            line.append(" " if number else "")
            if kind == "B":
                colours.setdefault(slot, _COLOURS[len(colours) % len(_COLOURS)])
                line.append("[", style=f"dim {colours[slot]}")
                open_slot = slot
            line.append(word, style=f"bold {colours[slot]}" if slot else "")
        if open_slot:
            line.append(f" {open_slot}]", style=f"dim {colours[open_slot]}")
        console.print(line, soft_wrap=True)
        console.print(f"  {say('intent', '意图')} {answer['intent']}  {answer['probability']:.4f}", soft_wrap=True)


@app.command(help=say("List the runs in a folder.", "列出文件夹中的运行。"))
def runs(
    folder: Annotated[Path, typer.Argument(help=say("folder with run directories", "含有运行目录的文件夹"))] = Path(
        "runs"
    ),
    as_json: AsJson = False,
) -> None:
    from rich.console import Console
    from rich.table import Table

    from ..records import Run

    if not folder.is_dir():
        raise ActlabError(
            say(
                f"expected a folder with runs; '{folder}' does not exist: train one with 'actlab train lenet'",
                f"没有文件夹“{folder}”；先用 actlab train lenet 训练",
            )
        )
    rows: list[dict[str, Any]] = []
    for file in sorted(folder.glob("*/run.json")):
        try:
            rows.append({"run": str(file.parent), **_brief(Run.read(file.parent))})
        except ActlabError as error:
            rows.append({"run": str(file.parent), "status": str(error)})
    if as_json:
        print(json.dumps(rows, ensure_ascii=False))
        return
    table = Table(box=None, pad_edge=False)
    table.add_column(say(f"run in {folder}", f"{folder} 中的运行"), overflow="fold")
    for en, zh in (("status", "状态"), ("accuracy", "准确率"), ("training", "训练"), ("created (UTC)", "时间（UTC）")):
        table.add_column(say(en, zh), no_wrap=True)
    for row in rows:
        accuracy, seconds = row.get("test_accuracy"), row.get("training_seconds")
        table.add_row(
            Path(row["run"]).name,
            row["status"],
            "" if accuracy is None else f"{accuracy:.4f}",
            "" if seconds is None else f"{seconds:,.0f} s",
            row.get("created", "")[:16].replace("T", " "),
        )
    Console().print(table if rows else say(f"no runs in '{folder}' yet", f"“{folder}”中还没有运行"))


@app.command(
    help=say(
        "Write the report of a run or a comparison anew; several comparisons go on one page.",
        "重新生成运行或比较的报告；多次比较合为一页。",
    )
)
def report(
    folders: Annotated[
        list[Path],
        typer.Argument(
            metavar="FOLDER...",
            help=say("a run, a comparison, or several comparisons", "一个运行、一次比较或多次比较的目录"),
        ),
    ],
    picture: Annotated[
        Path | None,
        typer.Option(
            help=say("also draw curves, filters and confusion into this PNG", "同时把曲线、滤波器和混淆矩阵画成 PNG")
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE.html",
            help=say(
                "page of several comparisons (default: comparisons.html)", "多次比较的页面（默认 comparisons.html）"
            ),
        ),
    ] = None,
) -> None:
    from .. import report as reports

    kinds = [_kind(folder) for folder in folders]
    _check_report(folders, kinds, picture, out)
    if len(folders) > 1:
        print(reports.write_comparisons(folders, out or Path("comparisons.html")))
    elif kinds == ["comparison"]:
        found, costs = reports.read_comparison(folders[0])
        print(reports.write_comparison(found, folders[0] / "comparison.html", costs))
    else:
        print(reports.write(folders[0]))
    if picture is not None:
        from .. import plot
        from .._language import language

        print(plot.run_picture(folders[0], picture, language()))


def _kind(folder: Path) -> str:
    """Of what a folder holds: "run" or "comparison"."""
    for kind in ("run", "comparison"):
        if (folder / f"{kind}.json").exists():
            return kind
    if (folder / "compare.toml").exists():
        raise ActlabError(
            say(
                f"'{folder}' holds a comparison that is not finished; run the same 'actlab compare' again with --out '{folder}', which repeats no finished training",
                f"“{folder}”中的比较尚未完成；请用 --out “{folder}”重新运行同一 actlab compare，已完成的训练不会重复",
            )
        )
    en, zh = ("has neither", "两者都没有") if folder.is_dir() else ("is a file", "是文件") if folder.exists() else ("does not exist", "不存在")  # fmt: skip
    raise ActlabError(
        say(
            f"expected a folder with run.json or comparison.json; '{folder}' {en}: make one with 'actlab train' or 'actlab compare'",
            f"需要含有 run.json 或 comparison.json 的目录；“{folder}”{zh}：请先用 actlab train 或 actlab compare 生成",
        )
    )


def _check_report(folders: list[Path], kinds: list[str], picture: Path | None, out: Path | None) -> None:
    """Before anything is written."""
    if len(folders) > 1 and "run" in kinds:
        run = folders[kinds.index("run")]
        raise UsageError(
            say(
                f"expected comparisons only, where several folders are given; '{run}' is a run: 'actlab runs {run.parent}' lists runs, 'actlab report {run}' reports one",
                f"给出多个目录时只能是比较；“{run}”是运行：用 actlab runs {run.parent} 列出运行，用 actlab report {run} 生成单个报告",
            )
        )
    if picture is not None and kinds != ["run"]:
        raise UsageError(
            say(f"--picture draws one run; '{folders[0]}' is a comparison: its pictures are on its page", f"--picture 只画一个运行；“{folders[0]}”是比较：图在其页面中")
        )  # fmt: skip
    if out is not None and len(folders) == 1:
        raise UsageError(
            say(f"--out names the page of several comparisons; '{folders[0]}' alone has its page in its own folder", f"--out 用于多次比较的页面；单独的“{folders[0]}”的页面在其自己的目录中")
        )  # fmt: skip
    for path, suffix in ((picture, ".png"), (out, ".html")):
        if path is not None and path.suffix.lower() != suffix:
            raise UsageError(
                say(f"expected a name ending in {suffix}; got '{path}'", f"文件名应以 {suffix} 结尾；得到“{path}”")
            )


def _brief(run: Any) -> dict[str, Any]:
    return {
        "status": run.status,
        "examples": run.examples,
        "test_accuracy": run.test.accuracy if run.test else None,
        "training_seconds": run.clock.training,
        "created": run.created,
    }
