"""Noise that a loop makes itself, of a seed, in the place of numbers that it would load."""

import re


def seeded(text: str, noise: str) -> str | None:
    """A loop that makes what it loads from the parameter of this name, where its seed lies then; None where it does not load vectors.

    See noise.h.
    """
    load = re.compile(
        rf"(at::vec::Vectorized(?:N)?<float(?:,\d+)?>)::loadu\({noise} \+ static_cast<int64_t>\(x0\), .*\);$", re.M
    )
    changed = load.sub(rf"actlab::noise<\1>({noise}, x0);", text)
    return changed if not re.search(rf"\b{noise}( \+|\[)", changed) else None
