"""`actlab forecast`, `trace`, `sample`, `pronounce` and `translate`: runs on series, sentences, text and pairs."""

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from .._language import language, say
from ..errors import UsageError
from . import app
from .results import AsJson, RunPath

Picture = Annotated[Path | None, typer.Option("--plot", help=say("draw it into this PNG or SVG", "画到此 PNG 或 SVG"))]


@app.command(
    help=say(
        "Forecast a series in closed loop: the network's own outputs take the place of the true ones.",
        "闭环预测序列：用网络自己的输出代替真实值。",
    )
)
def forecast(
    run: RunPath,
    steps: Annotated[int, typer.Option(min=1, max=100_000, help=say("how many steps ahead", "预测步数"))] = 24,
    data: Annotated[
        str | None, typer.Option(help=say("another series: a name or a CSV file", "其他序列：名称或 CSV 文件"))
    ] = None,
    picture: Picture = None,
    as_json: AsJson = False,
) -> None:
    from ..data import series
    from ..recipes.load_task import TrainedTask

    trained = TrainedTask(run, "series")
    plan: Any = trained.plan.data
    columns = trained.task.columns
    source = plan.source if data is None else data
    loaded = series.load(source, target=columns[-1], inputs=columns[:-1])
    found = trained.task.forecast(trained.model, loaded, steps)
    if picture is not None:
        from ..plot import forecast_picture

        forecast_picture(found, picture, language())
    if as_json:
        print(json.dumps(found, ensure_ascii=False))
        return
    truth = found["truth"] or [None] * len(found["forecast"])
    for time, value, true in zip(found["times"], found["forecast"], truth, strict=True):
        print(f"{time}  {value:.4g}" + ("" if true is None else f"  {say('true', '真实')} {true:.4g}"))
    if picture is not None:
        print(picture)


@app.command(
    help=say(
        "Show what a recurrent network remembers: its gates and its cell over a sentence or a recording.",
        "展示循环网络的记忆：门与记忆单元随句子或录音的变化。",
    )
)
def trace(
    run: RunPath,
    item: Annotated[str, typer.Argument(metavar="ITEM", help=say("a sentence or a .wav file", "句子或 .wav 文件"))],
    picture: Annotated[
        Path | None,
        typer.Option("--plot", help=say("where to draw it (default: trace.svg)", "图片位置（默认 trace.svg）")),
    ] = None,
    backwards: Annotated[
        bool, typer.Option("--backwards", help=say("the direction that reads from the end", "从末尾读起的方向"))
    ] = False,
    gradient: Annotated[
        Path | None,
        typer.Option(
            help=say("also draw how much of the gradient is left so many steps back", "另画出向后各步还剩多少梯度")
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    from ..plot import gradient_picture, memory_picture
    from ..recipes.load_task import TrainedTask

    trained = TrainedTask(run, "slots", "speech")
    words, gates, left = trained.trace(item, backwards=backwards)
    path = memory_picture(
        {name: value.numpy() for name, value in gates.items()}, words, picture or Path("trace.svg"), language()
    )
    if gradient is not None:
        gradient_picture(left.numpy(), gradient, language())
    if as_json:
        means = {name: value.mean(1).tolist() for name, value in gates.items()}
        print(
            json.dumps(
                {"words": words, "mean": means, "gradient": left.tolist(), "picture": str(path)}, ensure_ascii=False
            )
        )
        return
    print(path)
    if gradient is not None:
        print(gradient)


@app.command(help=say("Let a language model write on, character by character.", "让语言模型逐字符续写。"))
def sample(
    run: RunPath,
    prompt: Annotated[
        str, typer.Option(help=say("how the text begins", "文本开头"), show_default=say("a line break", "换行"))
    ] = "\n",
    length: Annotated[int, typer.Option(min=1, max=1_000_000, help=say("characters to write", "续写字符数"))] = 400,
    temperature: Annotated[
        float,
        typer.Option(help=say("0 takes the most probable, 1 draws as learnt", "0 取最可能者，1 按学到的概率抽取")),
    ] = 0.8,
    top_k: Annotated[
        int | None, typer.Option(help=say("draw from the k most probable", "只从最可能的 k 个中抽取"))
    ] = None,
    top_p: Annotated[
        float | None,
        typer.Option(
            help=say("draw from the fewest that have this probability", "只从累计概率达到此值的最少字符中抽取")
        ),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, max=2**63 - 1, help=say("of the drawing", "抽取的随机种子"))] = 0,
) -> None:
    import torch

    from ..recipes.load_task import TrainedTask

    if not prompt:
        raise UsageError(say("expected a prompt of at least one character; got none", "开头至少需要一个字符"))
    trained = TrainedTask(run, "characters")
    generator = torch.Generator().manual_seed(seed)
    how = {"temperature": temperature, "top_k": top_k, "top_p": top_p, "generator": generator}
    print(trained.task.write(trained.model, prompt, length, **how))


Decode = Annotated[
    str | None,
    typer.Option(
        help=say("greedy, beam; of a parallel network parallel, refine", "greedy、beam；并行网络为 parallel、refine")
    ),
]
Width = Annotated[int, typer.Option(min=1, help=say("hypotheses of the beam", "束搜索的假设数"))]
Attention = Annotated[
    Path | None,
    typer.Option(help=say("draw what the first answer looks at, token by token", "画出第一个答案的各词元注视何处")),
]


@app.command(help=say("How words are spoken: their phonemes.", "单词的读音：给出音素。"))
def pronounce(
    run: RunPath,
    words: Annotated[list[str], typer.Argument(metavar="WORD...", help=say("words", "单词"))],
    decode: Decode = None,
    width: Width = 5,
    attention: Attention = None,
    as_json: AsJson = False,
) -> None:
    answers = _answers(run, words, decode, width, attention, sentences=False)
    if as_json:
        print(json.dumps([{"word": word, "phonemes": one.split()} for word, one in zip(words, answers, strict=True)]))
        return
    for word, answer in zip(words, answers, strict=True):
        print(f"{word}  {answer}")
    if attention is not None:
        print(attention)


@app.command(help=say("Translate sentences.", "翻译句子。"))
def translate(
    run: RunPath,
    sentences: Annotated[list[str], typer.Argument(metavar="SENTENCE...", help=say("sentences", "句子"))],
    decode: Decode = None,
    width: Width = 5,
    attention: Attention = None,
    as_json: AsJson = False,
) -> None:
    answers = _answers(run, sentences, decode, width, attention, sentences=True)
    if as_json:
        found = [{"sentence": one, "translation": other} for one, other in zip(sentences, answers, strict=True)]
        print(json.dumps(found, ensure_ascii=False))
        return
    print("\n".join(answers))
    if attention is not None:
        print(attention)


def _answers(
    run: Path, items: list[str], decode: str | None, width: int, attention: Path | None, *, sentences: bool
) -> list[str]:
    from ..recipes.load_task import TrainedTask

    trained = TrainedTask(run, "pairs")
    task, model = trained.task, trained.model
    if task.sentences != sentences:
        right = "translate" if task.sentences else "pronounce"
        raise UsageError(say(f"'{run}' is read by 'actlab {right}'", f"“{run}”请用“actlab {right}”"))
    sources = [task.split(model, item) for item in items]
    answers = task.decode(model, sources, decode or ("beam" if task.autoregressive else "refine"), width=width)
    if attention is not None:
        from ..plot import attention_picture

        if not answers[0]:
            raise UsageError(
                say(f"'{items[0]}' got an empty answer: nothing to draw", f"“{items[0]}”的答案为空：没有可画的内容")
            )
        rows = [*answers[0], *([say("end", "结束")] if task.autoregressive else [])]
        weights = task.look(model, sources[0], answers[0])
        attention_picture(weights.numpy(), rows, task.source.tokens(sources[0].tolist()), attention, language())
    return [task.target.text(one) if sentences else " ".join(one) for one in answers]
