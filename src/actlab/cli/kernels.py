"""`actlab kernels build`: compiling the fused kernels before they are needed."""

import time
from typing import Annotated

import typer

from .._language import say
from . import app

group = typer.Typer(help=say("Compiled kernels of activation functions.", "激活函数的编译内核。"), no_args_is_help=True)
app.add_typer(group, name="kernels")


@group.callback()
def kernels() -> None:
    """The group of commands; it keeps `build` a command of its own."""


@group.command(
    help=say(
        "Compile kernels into the compiler's cache, so that no later run waits for them.",
        "把内核编译进编译器缓存，此后的运行无须等待。",
    )
)
def build(
    names: Annotated[
        list[str] | None,
        typer.Argument(help=say("activations (default: those of networks)", "激活函数名（默认：网络常用的）")),
    ] = None,
    all_: Annotated[
        bool, typer.Option("--all", help=say("every entry; takes many minutes", "全部条目，需要许多分钟"))
    ] = False,
    precision: Annotated[str, typer.Option(help="fp32, bf16, fp16, all")] = "all",
) -> None:
    from .. import activations
    from ..errors import ActlabError, UnknownName, UsageError
    from ..kernels import COMMON, PRECISIONS, build, library

    if precision not in (*PRECISIONS, "all"):
        raise UnknownName("precision", precision, [*PRECISIONS, "all"])
    if library() is None:
        raise ActlabError(say("expected a C++ compiler; install one, such as g++", "需要 C++ 编译器；请安装，例如 g++"))
    chosen = activations.names(vectors=False) if all_ else names or list(COMMON)
    for name in chosen:
        entry = activations.get(name)
        if isinstance(entry, activations.VectorActivation):
            raise UsageError(
                say(f"{name} is a function of whole vectors; it has no kernel", f"{name} 是向量函数，没有内核")
            )
        for short, dtype in PRECISIONS.items():
            if precision not in (short, "all"):
                continue
            start = time.perf_counter()
            forms = build(entry, dtype)
            what = ", ".join(forms) if forms else say("plain operations", "普通运算")
            print(f"{name:<22} {short}  {what}  {time.perf_counter() - start:.1f} s", flush=True)
