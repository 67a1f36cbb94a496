"""The commands. Thin readers: parse, call once, print. Everything heavy is imported inside a command."""

import typer

from .._language import language, say
from ._chinese import translate_help

if language() == "zh":
    translate_help()

app = typer.Typer(
    name="actlab",
    help=say(
        "Choose, train and debug neural networks, with the activation function as the swappable part.",
        "选择、训练和调试神经网络，激活函数是可以随意替换的部分。",
    ),
    epilog=say(
        "Every command understands --lang en|zh.  Start with:  actlab train lenet",
        "所有命令都支持 --lang en|zh。先试试：actlab train lenet",
    ),
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(asked: bool) -> None:
    if asked:
        from .. import __version__

        print(f"actlab {__version__}")
        raise typer.Exit


@app.callback()
def _common(
    version: bool = typer.Option(
        False, "--version", callback=_version, is_eager=True, help=say("Print the version.", "显示版本。")
    ),
) -> None:
    pass


from . import training, results, comparing, diagnosing, inspecting, surfaces, sequences, lists, catalogue, kernels  # noqa: E402, F401, I001  (they register their commands on `app`, in the order of the help)
