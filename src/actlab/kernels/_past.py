"""Results that are too large for the caches go past them: stored in the usual way, each line of memory is read before it is overwritten."""

import re

_END = re.compile(r"_loop\([^)]*()\)\n")
_ONE_LOOP = re.compile(r"\bx1\b")
_STORE = re.compile(
    r"(tmp\w+)\.store\((out_ptr\d+) \+ static_cast<int64_t>\((x0|\(x0 \+ \d+\))\)(?:, static_cast<int64_t>\((\d+)\))?\);"
)


def past_the_caches(text: str, first: str) -> tuple[str, str]:
    """A loop whose whole vectors of the first output, of this name, go past the caches if one more parameter says so; and what to pass for it.

    Unchanged, with nothing to pass, where it is more than one loop over vectors.
    """
    end = _END.search(text)
    if end is None or _ONE_LOOP.search(text):
        return text, ""

    def put(found: re.Match[str]) -> str:
        vector, output, place, count = found.groups()
        lanes = f"<{count}>" if count else ""  # some loops fill half a vector of a half type
        return f"actlab::put{lanes}({vector}, {output} + {place}, past);" if output == first else found[0]

    changed = _STORE.sub(put, text)
    if changed == text:
        return text, ""
    place = end.start(1)
    return f"{changed[:place]}, const bool past{changed[place:]}", "past && actlab::aligned(outputs[0])"
