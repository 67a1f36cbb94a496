"""Results that are too large for the caches go past them: stored in the usual way, each line of memory is read before it is overwritten."""

import re
from collections.abc import Sequence

_SIGNATURE = re.compile(r"_loop\((.*?)\)\n", re.S)
_PARAMETER = re.compile(r"(\w+)(?:,|$)")
_ONE_LOOP = re.compile(r"\bx1\b")
_STORE = re.compile(
    r"(tmp\w+)\.store\((out_ptr\d+) \+ static_cast<int64_t>\((x0|\(x0 \+ \d+\))\)(?:, static_cast<int64_t>\(\d+\))?\);"
)


def past_the_caches(text: str, passed: Sequence[str]) -> tuple[str, str]:
    """A loop whose whole vectors of the first output go past the caches if one more parameter says so; and what to pass for it.

    `passed` are the expressions of its parameters now. Unchanged, with nothing to pass, where it is more than one loop over vectors.
    """
    signature = _SIGNATURE.search(text)
    if signature is None or _ONE_LOOP.search(text):
        return text, ""
    names = _PARAMETER.findall(signature[1])
    first = names[next(place for place, one in enumerate(passed) if one.endswith("outputs[0]"))]

    def put(found: re.Match[str]) -> str:
        vector, output, place = found.groups()
        return f"actlab::put({vector}, {output} + {place}, past);" if output == first else found[0]

    changed = _STORE.sub(put, text)
    if changed == text:
        return text, ""
    end = signature.end(1)
    return f"{changed[:end]}, const bool past{changed[end:]}", "past && actlab::aligned(outputs[0])"
