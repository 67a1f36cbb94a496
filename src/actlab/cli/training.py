"""`actlab train`."""

import json
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from .._language import say
from ..errors import UsageError
from . import app
from .results import score_lines

if TYPE_CHECKING:
    from ..recipes import Plan
    from ..records import Run

Text = str | None


@app.command(
    help=say(
        "Train a recipe, or a model of your own (file.py:callable); writes a run directory with a report.",
        "训练一个配方，或您自己的模型（file.py:callable）；结果与报告写入运行目录。",
    )
)
def train(
    name: Annotated[
        Text,
        typer.Argument(
            help=say(
                "alexnet, lenet, mlp, forecasting, slot-filling, image-attention, graph, pronunciation, translation, spoken-digits, character-lm, or file.py:callable",
                "alexnet、lenet、mlp、forecasting、slot-filling、image-attention、graph、pronunciation、translation、spoken-digits、character-lm 或 file.py:callable",
            )
        ),
    ] = None,
    recipe: Annotated[
        Text, typer.Option(help=say("variant, e.g. fast, classic, accurate", "变体，如 fast、classic、accurate"))
    ] = None,
    config: Annotated[
        Path | None, typer.Option(help=say("replay the config.toml of a run", "重放某次运行的 config.toml"))
    ] = None,
    data: Annotated[
        Text,
        typer.Option(
            help=say(
                "a data set (actlab data), a folder or file of your own, or file.py:callable",
                "数据集名（见 actlab data）、自己的文件夹或文件，或 file.py:callable",
            )
        ),
    ] = None,
    validation: Annotated[
        int | None, typer.Option(help=say("training examples held out to choose by", "留出的验证样本数"))
    ] = None,
    limit: Annotated[
        int | None, typer.Option(help=say("at most so many examples of each part", "每个部分最多使用的样本数"))
    ] = None,
    activation: Annotated[Text, typer.Option(help=say("activation function of the network", "网络的激活函数"))] = None,
    epochs: Annotated[int | None, typer.Option(help=say("passes over the training examples", "训练轮数"))] = None,
    steps: Annotated[
        int | None, typer.Option(help=say("optimizer steps in all, instead of epochs", "总步数，代替轮数"))
    ] = None,
    batch_size: Annotated[int | None, typer.Option(help=say("examples of one step", "每步样本数"))] = None,
    learning_rate: Annotated[float | None, typer.Option(help=say("base rate", "基础学习率"))] = None,
    optimizer: Annotated[Text, typer.Option(help="sgd, adamw, muon")] = None,
    schedule: Annotated[Text, typer.Option(help="constant, onecycle, cosine, triangular")] = None,
    precision: Annotated[Text, typer.Option(help="fp32, bf16, fp16")] = None,
    seed: Annotated[
        int | None, typer.Option(help=say("decides weights, order and held-out examples", "决定权重、顺序和留出的样本"))
    ] = None,
    device: Annotated[Text, typer.Option(help="auto, cpu, cuda, mps")] = None,
    devices: Annotated[
        int | None, typer.Option(help=say("processes, one for each device", "进程数，每个设备一个"))
    ] = None,
    strategy: Annotated[
        Text, typer.Option(help=say("ddp; fsdp cuts the weights over the devices", "ddp；fsdp 把权重切分到各设备"))
    ] = None,
    compile: Annotated[
        bool | None, typer.Option("--compile/--no-compile", help=say("use torch.compile", "使用 torch.compile"))
    ] = None,
    fused: Annotated[
        bool | None,
        typer.Option(
            "--fused/--no-fused",
            help=say("activations by compiled kernels, where there is a compiler", "有编译器时激活函数用编译内核"),
        ),
    ] = None,
    keep_memory: Annotated[
        bool | None,
        typer.Option(
            "--keep-memory/--no-keep-memory",
            help=say("keep freed memory in the process (glibc)", "把释放的内存留在进程中（glibc）"),
        ),
    ] = None,
    set_: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="NAME=VALUE",
            help=say(
                "any other setting: momentum=0.8, data.flip=0.5, model.dropout=0.2",
                "其他设置：momentum=0.8、data.flip=0.5、model.dropout=0.2",
            ),
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(help=say("run directory (default: a new one in runs/)", "运行目录（默认在 runs/ 中新建）")),
    ] = None,
    resume: Annotated[
        bool,
        typer.Option("--resume", help=say("go on with the run that this command began", "继续此命令先前开始的运行")),
    ] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help=say("print nothing", "不输出"))] = False,
) -> None:
    from .. import recipes
    from ..train.files import read_config
    from ..train.show import choose

    if (name is None) == (config is None):
        raise UsageError(
            say(
                f"expected the name of a recipe ({', '.join(recipes.names())}) or --config; got {'neither' if name is None else 'both'}",
                f"需要一个配方名（{'、'.join(recipes.names())}）或 --config，二者选一",
            )
        )
    if config is not None and recipe is not None:
        raise UsageError(
            say("--config holds the recipe already; leave --recipe out", "--config 中已有配方；请去掉 --recipe")
        )
    name, data = absolute(name), absolute(data)
    plan = recipes.plan(name, recipe) if name is not None else recipes.read(read_config(config)) if config else None
    assert plan is not None
    changes: dict[str, dict[str, Any]] = {
        "data": _given(source=data, validation=validation, limit=limit),
        "model": _given(activation=activation, fused=fused),
        "settings": _given(
            epochs=epochs, steps=steps, batch_size=batch_size, learning_rate=learning_rate, optimizer=optimizer, schedule=schedule,
            precision=precision, seed=seed, device=device, devices=devices, strategy=strategy, compile=compile, keep_memory=keep_memory,
        ),
    }  # fmt: skip
    plan = changed(plan, changes, set_ or [])
    chosen: list[Path] = []

    def choose_place() -> Path:
        chosen.append(place(out, plan, resume))
        return chosen[0]

    done = recipes.run(plan, place=choose_place, resume=resume, show=choose(quiet))
    if chosen and not quiet:  # only the first of several processes was asked
        _print_result(done, chosen[0])


def changed(plan: "Plan", changes: dict[str, dict[str, Any]], assignments: list[str]) -> "Plan":
    """The plan with options and `--set` assignments put in; an unknown activation is refused here, before any data are read."""
    from .. import activations
    from ..recipes import ModelPlan

    for assignment in assignments:
        key, equals, text = assignment.partition("=")
        if not equals or not key:
            raise UsageError(
                say(f"--set expects name=value; got '{assignment}'", f"--set 需要 name=value；得到“{assignment}”")
            )
        part, _, rest = key.rpartition(".")
        part = part or "settings"
        if part not in changes:
            raise UsageError(
                say(
                    f"--set knows settings, data.NAME and model.NAME; got '{key}'",
                    f"--set 支持设置名、data.NAME 和 model.NAME；得到“{key}”",
                )
            )
        if part == "model" and rest not in ModelPlan.model_fields:
            arguments = changes["model"].setdefault("arguments", dict(plan.model.arguments))
            if not isinstance(arguments, dict):
                raise UsageError(
                    say(
                        "--set model.arguments is not for typing; set each one, as model.dropout=0.2",
                        "请逐个设置模型参数，如 model.dropout=0.2，而不是 model.arguments",
                    )
                )
            arguments[rest] = _value(text)
        else:
            changes[part][rest] = _value(text)
    plan = plan.with_changes(**changes)
    if ":" not in plan.model.name:
        activations.get(plan.model.activation)
        if plan.model.arguments.get("pool_first") and plan.model.activation not in activations.NON_DECREASING:
            plan = plan.with_changes(model={"arguments": {**plan.model.arguments, "pool_first": False}})
    return plan


def place(out: Path | None, plan: "Plan", resume: bool, folder: Path = Path("runs")) -> Path:
    """The run directory: the one named, the newest one with this plan, or a new one."""
    from ..train.files import flat, read_config, without_none

    if out is not None:
        return out
    wanted = flat(without_none(plan.model_dump(mode="json")))
    if resume:
        configs = sorted(folder.glob("*/config.toml"), key=lambda file: file.stat().st_mtime, reverse=True)
        for file in configs:
            with suppress(UsageError):  # a config of something else is none of ours
                if flat(read_config(file)) == wanted:
                    return file.parent
    base = "-".join(part for part in (plan.recipe, plan.preset, datetime.now().strftime("%Y%m%d-%H%M%S")) if part)
    candidates = [folder / base, *(folder / f"{base}-{number}" for number in range(2, 1000))]
    return next(path for path in candidates if not path.exists())


def absolute(name: str | None) -> str | None:
    """A file or folder of the user's by its full path, so that the run can be used from anywhere."""
    from ..data.catalogue import names

    if name is None or name in names():
        return name
    file, colon, what = name.rpartition(":")
    if colon and file.endswith(".py"):
        return f"{Path(file).expanduser().resolve()}:{what}"
    folder = Path(name).expanduser()
    return str(folder.resolve()) if not colon and folder.exists() else name


def _given(**options: Any) -> dict[str, Any]:
    return {name: value for name, value in options.items() if value is not None}


def _value(text: str) -> Any:
    if text.lower() in ("none", "null"):
        return None
    try:
        return json.loads(text)
    except ValueError:
        return text


def _print_result(run: "Run", path: Path) -> None:
    if run.test is not None:
        accuracy = f"{say('accuracy', '准确率')} {run.test.accuracy:.4f}  " if run.test.accuracy is not None else ""
        count = say(f"on {run.test.count:,} examples", f"共 {run.test.count:,} 个样本")
        print(f"{say('test', '测试')} {accuracy}{say('loss', '损失')} {run.test.loss:.4f}  {count}")
        for line in score_lines(run.test.scores):
            print(line)
    clock = run.clock
    if clock.compute and run.examples:
        print(
            say(
                f"{run.examples:,} examples in {clock.training:.1f} s of training, {clock.total:.1f} s in all: "
                f"{run.examples / clock.compute:,.1f} examples/s without waiting for data, {run.examples / clock.total:,.1f} by the wall clock",
                f"训练 {clock.training:.1f} 秒，共 {clock.total:.1f} 秒，{run.examples:,} 个样本："
                f"不计等待数据 {run.examples / clock.compute:,.1f} 样本/秒，按实际时间 {run.examples / clock.total:,.1f} 样本/秒",
            )
        )
    print(f"{say('report', '报告')} {path / 'report.html'}")
