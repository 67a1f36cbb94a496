"""How loops meet memory: large tensors often begin at nearly the same place within a page.

There a processor takes what is loaded next for what has just been stored until it has compared the whole addresses. Loads of four
vectors that come before the stores of four do not wait for that. On AMD's processors neither do loads of half a vector, which also come
sooner from far away: short loops in float32 take those.
"""

import re

_COUNT = 4
_SHORT = 28  # statements of a loop whose time is that of memory
_LONGEST = 60  # statements; what takes longer waits for arithmetic

_ANY_LOOP = re.compile(r"for\(int64_t (x\d+)=")
_LOOP = r"for\(int64_t {0}=static_cast<int64_t>\(0L\); {0}<static_cast<int64_t>\((\w+)\); {0}\+=static_cast<int64_t>\((\d+)L\)\)"
_VECTORS = re.compile(r"if\(C10_LIKELY\([^\n]*\)\)\n\s*\{\n")
_LOAD = re.compile(r"at::vec::Vectorized<float>::loadu\((in_ptr\d+ \+ static_cast<int64_t>\([^()]*\)), static_cast<int64_t>\(\d+\)\)")  # fmt: skip
_STORE = re.compile(r"^\s*tmp\d+\.store\(out_ptr[^\n]*;\n", re.M)


def grouped(text: str) -> str:
    """The same function of C++ with its one loop over vectors in one of these ways; unchanged where it is not of that kind."""
    loops, vectors = _ANY_LOOP.findall(text), _VECTORS.search(text)
    if vectors is None or loops not in (["x0"], ["x0", "x1"]):  # the second of two goes through the columns of a row
        return text
    along = loops[-1]
    loop = re.search(_LOOP.format(along), text)
    if loop is None:
        return text
    begin, end = vectors.end(), _closing(text, vectors.end())
    step = text[begin:end]
    statements = step.count(";")
    if statements > _LONGEST or "double" in step:
        return text
    if statements <= _SHORT and "Vectorized<float>::loadu" in step and "actlab::pieces" not in step:
        return text[:begin] + _LOAD.sub(r"actlab::loaded(\1)", step) + text[end:]
    length, width = loop[1], int(loop[2])
    loads, stores = _STORE.sub("", step), "".join(_STORE.findall(step))
    group = "".join(_nth(part, along, number * width) for part in (loads, stores) for number in range(_COUNT))
    several = (
        f"int64_t {along} = 0;\nfor (; {along} + {_COUNT * width} <= {length}; {along} += {_COUNT * width})\n{{\n{group}}}\n"
        f"for (; {along} < {length}; {along} += {width})"
    )
    return text[: loop.start()] + several + text[loop.end() :]


def _closing(text: str, place: int) -> int:
    """Where the brace that was opened before `place` is closed."""
    depth = 1
    for brace in re.finditer(r"[{}]", text[place:]):
        depth += 1 if brace[0] == "{" else -1
        if depth == 0:
            return place + brace.start()
    raise ValueError("expected a block that ends")


def _nth(step: str, along: str, later: int) -> str:
    """The statements of a step for the vector so many elements later along this index, with names of its own."""
    step = re.sub(r"\btmp(\d+)\b", rf"tmp\1_{later}", step)
    return re.sub(rf"\b{along}\b", f"({along} + {later})", step) if later else step
