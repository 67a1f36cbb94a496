"""`actlab diagnose`: what is wrong with a network of one's own, or with that of a run."""

from pathlib import Path
from typing import Annotated, Any

import typer

from .._files import cannot_write, write_whole
from .._language import language, say
from ..errors import UnknownName, UsageError
from . import app


@app.command(
    help=say(
        "Name the layer and the cause: what keeps a network from learning, with a page of pictures.",
        "指出是哪一层、什么原因使网络学不动，并生成图文报告。",
    )
)
def diagnose(
    target: Annotated[
        str,
        typer.Argument(
            metavar="TARGET",
            help=say(
                "file.py:callable that returns the network, or a run directory",
                "返回网络的 file.py:callable，或运行目录",
            ),
        ),
    ],
    data: Annotated[
        str | None,
        typer.Option(
            help=say(
                "file.py:callable that returns batches (inputs, targets)", "返回（输入，目标）批次的 file.py:callable"
            )
        ),
    ] = None,
    loss: Annotated[
        str | None,
        typer.Option(
            help=say(
                "file.py:callable of (outputs, targets); default: cross-entropy",
                "以（输出，目标）为参数的 file.py:callable；默认交叉熵",
            )
        ),
    ] = None,
    out: Annotated[
        Path,
        typer.Option(
            help=say("folder for diagnosis.html and findings.json", "存放 diagnosis.html 与 findings.json 的文件夹")
        ),
    ] = Path("diagnosis"),
    batches: Annotated[int, typer.Option(min=1, help=say("at most so many batches", "最多使用的批数"))] = 64,
    initial: Annotated[
        bool, typer.Option("--initial", help=say("of a run: the weights it began with", "对运行：使用其初始权重"))
    ] = False,
    live: Annotated[
        bool,
        typer.Option(
            "--live",
            help=say(
                "of a run under way: look at every checkpoint until it ends",
                "对进行中的运行：逐个检查每个检查点，直到结束",
            ),
        ),
    ] = False,
    fix: Annotated[
        bool,
        typer.Option(
            "--fix", help=say("try what helps, and prove it by paired trainings", "尝试补救办法，并以成对训练验证")
        ),
    ] = False,
    steps: Annotated[
        int, typer.Option(min=1, help=say("with --fix: steps of each training", "与 --fix 合用：每次训练的步数"))
    ] = 200,
    seeds: Annotated[int, typer.Option(min=2, help=say("with --fix: paired seeds", "与 --fix 合用：成对种子数"))] = 5,
    optimizer: Annotated[
        str | None,
        typer.Option(
            help=say(
                "with --fix: of torch.optim; default: that of the run, else Adam",
                "与 --fix 合用：torch.optim 中的优化器；默认用运行自身的，否则为 Adam",
            )
        ),
    ] = None,
    rate: Annotated[
        float, typer.Option(min=0.0, help=say("with --fix: learning rate", "与 --fix 合用：学习率"))
    ] = 1e-3,
    fail_on: Annotated[
        str | None,
        typer.Option(
            metavar="warning|error",
            help=say("exit code 1 for a finding as grave as this", "出现该级别的发现时退出码为 1"),
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help=say("print JSON", "输出 JSON"))] = False,
) -> None:
    from .. import _own
    from ..diagnosis import diagnose as look
    from ..diagnosis.diagnosing import read

    if fail_on not in (None, "warning", "error"):
        raise UnknownName("severity", fail_on, ("warning", "error"))
    if live and ":" in target:
        raise UsageError(say("--live follows a run directory; got a network of your own: use actlab.watch in your loop", "--live 用于运行目录；自己的网络请在训练循环中使用 actlab.watch"))  # fmt: skip
    stepping: Any = optimizer
    if ":" in target:
        if data is None:
            raise UsageError(
                say(
                    f"expected batches for {target}: name them with --data file.py:callable",
                    f"{target} 需要数据：请用 --data file.py:callable 指定",
                )
            )
        model = _own.module(target, {})
        given: Any = read(_own.call(data, {}), batches)
        scored = None if loss is None else _own.load(loss)
        found = look(model, given, scored, most=batches)
        make: Any = lambda: _own.module(target, {})  # noqa: E731
    else:
        from ..recipes.examining import examine, follow

        if data is not None or loss is not None:
            raise UsageError(
                say(
                    "a run has its own data and loss; leave out --data and --loss",
                    "运行自带数据与损失；请去掉 --data 和 --loss",
                )
            )
        if live:
            _live(follow(target, batches=batches), out)
        found, one = examine(target, batches=batches, initial=initial)
        make, given, scored = (one.model if initial else one.fresh), one.batches, one.loss
        if optimizer is None:
            stepping = one.optimizers
    if fix:
        from ..diagnosis.fixing import fix as prove

        attempts = prove(make, given, found, scored, steps=steps, seeds=seeds, optimizer=stepping or "Adam", rate=rate)
        found = found.model_copy(update={"attempts": tuple(attempts)})
    page = _write(found, out)
    print(found.model_dump_json(exclude={"sites", "layers"})) if as_json else _print(found, page, fix)
    order = ("note", "warning", "error")
    if (
        fail_on is not None
        and found.worst() is not None
        and order.index(found.worst() or "note") >= order.index(fail_on)
    ):
        raise typer.Exit(1)


def _write(found: Any, out: Path) -> Path:
    """The page and findings.json; returns the page's path."""
    from .. import report

    page = report.write_diagnosis(found, _folder(out) / "diagnosis.html")
    text = found.model_dump_json(indent=1, exclude={"sites": {"__all__": {"edges", "counts", "curve"}}}) + "\n"
    write_whole(out / "findings.json", lambda temporary: temporary.write_text(text, encoding="utf-8"))
    return page


def _live(diagnoses: Any, out: Path) -> None:
    """A line for every checkpoint, and the page written anew."""
    from ..diagnosis import words

    for found, step in diagnoses:
        _write(found, out)
        grave = [one for one in found.findings if one.severity != "note"]
        said = "; ".join(f"{getattr(words.RULES[one.rule], language())} {one.layer}".strip() for one in grave)
        loss = sum(found.losses) / max(1, len(found.losses))
        dead = sum(map(len, found.checkpoints[-1].silent.values()))
        print(
            say(
                f"step {step:,}: loss {loss:.4g}, {dead:,} dead units; {said or 'nothing wrong'}",
                f"第 {step:,} 步：损失 {loss:.4g}，死亡单元 {dead:,} 个；{said or '未见问题'}",
            ),
            flush=True,
        )


def _folder(out: Path) -> Path:
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise cannot_write(out, error) from None
    return out


def _print_attempts(console: Any, found: Any, lang: str) -> None:
    from ..diagnosis.fixing import said
    from ..diagnosis.remedies import causes

    if not any(one.severity != "note" for one in found.findings):
        console.print(say("no remedy is needed", "无需补救"))
    elif not causes(found):
        console.print(
            say(
                "no change of the network would cure this: nothing was tried, and nothing is claimed",
                "改动网络无法解决此问题：未作尝试，也不作结论",
            )
        )
    elif not found.attempts:
        console.print(say("none of the remedies fits this network", "现有办法都不适用于此网络"))
    for one in found.attempts:
        console.print(said(one)[lang == "zh"], style="bold green" if one.verdict == "better" else "", soft_wrap=True)
    best = min((one for one in found.attempts if one.verdict == "better"), key=lambda one: one.difference, default=None)
    if best is not None:
        console.print("\n".join(f"  {line}" for line in best.changes), style="dim", soft_wrap=True)
        print(best.code)


def _print(found: Any, page: Path, fix: bool) -> None:
    from rich.console import Console
    from rich.text import Text

    from ..diagnosis import words

    console, lang = Console(highlight=False, soft_wrap=True), language()
    colours = {"error": "bold red", "warning": "bold yellow", "note": "dim"}
    grave = [one for one in found.findings if one.severity != "note"]
    for one in found.findings:
        if one.severity == "note" and grave:
            continue
        line = Text(f"{getattr(words.SEVERITIES[one.severity], lang)}  ", style=colours[one.severity])
        line.append(f"{getattr(words.RULES[one.rule], lang)}  {one.layer}\n", style="bold")
        line.append(f"  {getattr(words.sentence(one), lang)}\n")
        line.append(f"  {say('evidence', '依据')}: {getattr(words.evidence(one), lang)}\n", style="dim")
        if not one.explained_by:
            line.append(f"  {say('what helps', '办法')}: {getattr(words.remedy(one), lang)}")
        console.print(line, soft_wrap=True)
    if not grave:
        console.print(say("nothing wrong was found", "未发现问题"), style="bold green")
    elif len(grave) < len(found.findings):
        more = len(found.findings) - len(grave)
        console.print(
            say(
                f"and {more} notes, which these explain or which are small: see the page",
                f"另有 {more} 条提示（由上述原因引起或较轻），见报告",
            ),
            style="dim",
        )
    if fix:
        _print_attempts(console, found, lang)
    print(page)
