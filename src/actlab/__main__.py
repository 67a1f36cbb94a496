"""The `actlab` command."""

import os
import sys
import traceback


def main() -> None:
    """Run the command line; exit code 0 ok, 1 failed, 2 wrong usage."""
    code = run(sys.argv[1:])
    if (
        "LOCAL_RANK" in os.environ
    ):  # one of several processes: the threads of torch's process group do not always end by themselves
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
    sys.exit(code)


def run(arguments: list[str]) -> int:
    """Run with these arguments; errors that a person can act on become one sentence on standard error."""
    from . import _language
    from .errors import ActlabError, OwnCodeError, UsageError

    try:
        arguments = _language.take(arguments)
        from .cli import app

        return app(args=arguments, prog_name="actlab", standalone_mode=False) or 0
    except ActlabError as error:
        if os.environ.get("LOCAL_RANK", "0") != "0":
            return (
                0 if error.agreed else 1
            )  # the first process speaks; an exit code of 1 would have it killed while it still writes
        _complain(str(error))
        if isinstance(error, OwnCodeError) and error.__cause__ is not None:
            traceback.print_exception(error.__cause__)
        return 2 if isinstance(error, UsageError) else 1
    except KeyboardInterrupt:
        _complain(_language.say("stopped", "已停止"))
        return 1
    except BrokenPipeError:  # the reader, such as head, has gone
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except Exception as error:
        return _usage(error)


def _usage(error: Exception) -> int:
    """Click's and Typer's complaints about the command line; anything else is a fault of ours and keeps its traceback."""
    show, code = getattr(error, "show", None), getattr(error, "exit_code", None)
    if callable(show) and isinstance(code, int):
        from ._language import language
        from .cli._chinese import complaint

        if language() == "zh" and type(error).__name__ != "NoArgsIsHelpError":
            _complain(complaint(error))
        else:
            show()
        return code
    if type(error).__name__ == "Abort":
        return 1
    raise error


def _complain(text: str) -> None:
    print(f"actlab: {text}", file=sys.stderr)


if __name__ == "__main__":
    main()
