"""Formulas in text: what is read and what is refused, and every form that follows, against the definition at 50 digits."""

import json
import math
import pickle
import random
import shutil
import subprocess
import sys
from pathlib import Path

import mpmath
import pytest
import sympy
import torch
from mpmath import mp

from actlab import _language, formula
from actlab.formula import JAVASCRIPT_PRELUDE, FormulaError, parse

F64 = torch.float64
# text, parameters at a point where a wrong formula does not agree by chance
FORMULAS: dict[str, tuple[str, dict[str, float]]] = {
    "elu": ("where(x > 0, x, alpha*(exp(x) - 1))", {"alpha": 1.3}),
    "selu": ("scale*Piecewise((x, x >= 0), (alpha*exp(x) - alpha, True))", {"scale": 1.05, "alpha": 1.67}),
    "gelu": ("x*(1 + erf(x/sqrt(2)))/2", {}),
    "gelu_tanh": ("0.5*x*(1 + tanh(sqrt(2/pi)*(x + 0.044715*x^3)))", {}),
    "swish": ("x/(1 + exp(-beta*x))", {"beta": 1.7}),
    "mish": ("x*tanh(log(1 + exp(x)))", {}),
    "cloglog": ("1 - exp(-exp(x))", {}),
    "softplus": ("log(1 + exp(beta*x))/beta", {"beta": 0.7}),
    "swoosh_l": ("log(1 + exp(x - 1)) - 0.08*x - 0.313", {}),
    "hard_swish": ("x*clip(x + 3, 0, 6)/6", {}),
    "leaky_relu": ("max(a*x, x)", {"a": 0.01}),
    "sinc": ("sinc(x)", {}),
    "bent_identity": ("(sqrt(x^2 + 1) - 1)/2 + x", {}),
    "softsign": ("x/(1 + Abs(x))", {}),
    "tanh": ("(exp(x) - exp(-x))/(exp(x) + exp(-x))", {}),
    "logistic": ("exp(x)/(1 + exp(x))", {}),
    "log_cosh": ("log(exp(x) + exp(-x))", {}),
    "gaussian": ("exp(-x^2)", {}),
    "two_logs": ("Piecewise((log(1 + x), x > 0), (-a*log(1 - x), True))", {"a": 0.5}),
}
POINTS = [-1e4, -90.0, -20.0, -3.0, -0.7, -1e-6, 1e-6, 0.3, 1.5, 3.7, 20.0, 90.0, 1e4]
SMOOTH = [
    name for name, (text, _) in FORMULAS.items() if not any(w in text for w in ("clip", "max", "Abs", "(x,", "x >"))
]
each = pytest.mark.parametrize("name", FORMULAS)


def read(name):
    text, values = FORMULAS[name]
    return parse(text, values), values


def points(dtype=F64):
    return torch.tensor(POINTS, dtype=dtype)


def exactly(f, order, values, where=POINTS):
    call = f.exact(order)
    return torch.tensor([float(call(x, **values)) for x in where], dtype=F64)


# What is read.


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("-x^2", -9), ("(-x)^2", 9), ("2^3^2", 512), ("2**-x", 0.125), ("-2^-2", -0.25), ("2-3-4", -5), ("8/4/2", 1), ("8/4*2", 4),
        ("1+2*x^2/6", 4), ("-x*-x", 9), ("+x--x", 6), ("2*-x", -6), ("x^-1*3", 1), ("1e2*.5 + 1.", 51), ("min(1, x, -2) + max(x, 5)", 3),
        ("where(x <= 3, 1, 2)", 1), ("where(x < 3, 1, 2)", 2), ("where(3 >= x, 1, 2)", 1), ("Piecewise((1, x < 2), (2, x < 4), (3, True))", 2),
        ("clip(x, 0, 1) + relu(-x) + sign(-x) + Abs(-x)", 3), ("ln(e^x)", 3), ("arctan(tan(1)) + log1p(expm1(x))", 4),
    ],
)  # fmt: skip
def test_precedence_and_values(text, expected):
    assert float(parse(text).exact()(3)) == pytest.approx(expected, rel=1e-15)


SAID = {
    "alfa*x": ("no name 'alfa' at position 1; did you mean 'alpha'?", "第 1 个字符处的“alfa”不是已知的名称；是否想用“alpha”？"),
    "1 + tanhh(x)": ("no function 'tanhh' at position 5; did you mean 'tanh'?", "第 5 个字符处的“tanhh”不是已知的函数；是否想用“tanh”？"),
    "2x": ("expected an operator or the end at position 2; got 'x'; a product is written with '*'", "第 2 个字符处应为运算符或结尾；得到“x”；乘积要写“*”"),
    "(x": ("expected an operator or ')' at position 3; got the end", "第 3 个字符处应为运算符或“)”；得到结尾"),
    "": ("expected a number, a name, '-' or '(' at position 1; got the end", "第 1 个字符处应为数、名称、“-”或“(”；得到结尾"),
    "exp": ("expected '(' after exp at position 4; got the end", "第 4 个字符处应为 exp 之后的“(”；得到结尾"),
    "log(x, 2)": ("expected log(u) at position 1; got 2 arguments", "第 1 个字符处应为 log(u)；得到 2 个参数"),
    "x > 0": ("expected an operator or the end at position 3; got '>'; a comparison stands only in where(...) or Piecewise(...)", "第 3 个字符处应为运算符或结尾；得到“>”；比较只能写在 where(...) 或 Piecewise(...) 中"),
    "where(x, 1, 2)": ("expected '<', '<=', '>' or '>=' at position 8; got ','", "第 8 个字符处应为“<”“<=”“>”或“>=”；得到“,”"),
    "Piecewise((x, x > 0))": ("expected ',' and at the end a pair (v, True) at position 21; got ')'", "第 21 个字符处应为“,”以及最后的 (v, True)；得到“)”"),
    "x.real": ("expected a number, a name or one of + - * / ^ ( ) , < > at position 2; got '.'", "第 2 个字符处应为数、名称或 + - * / ^ ( ) , < > 之一；得到“.”"),
    "3×x": ("expected a number, a name or one of + - * / ^ ( ) , < > at position 2; got '×' (U+00D7); did you mean '*'?", "第 2 个字符处应为数、名称或 + - * / ^ ( ) , < > 之一；得到“×” (U+00D7)；是否想用“*”？"),
    "1e999": ("expected a number between 1e-308 and 1e308 at position 1; got '1e999'", "第 1 个字符处应为 1e-308 与 1e308 之间的数；得到“1e999”"),
    "x + log(-1)": ("expected constants of bearable size; the one at position 5 is undefined, infinite or takes too many digits", "第 5 个字符处的常数无定义、无穷大，或位数过多"),
    "x" * 1001: ("expected at most 1000 characters; got 1001", "最多 1000 个字符；得到 1001 个"),
    "-x" * 200: ("expected at most 300 parts; exceeded at position 302", "最多 300 个组成部分；第 302 个字符处超出"),
    "(" * 60 + "x": ("expected at most 40 levels of nesting; exceeded at position 41", "最多 40 层嵌套；第 41 个字符处超出"),
}  # fmt: skip


@pytest.mark.parametrize("text", SAID, ids=lambda text: text[:20])
def test_every_fault_has_its_sentence(text):
    for language, start, said in zip(("en", "zh"), ("formula: ", "公式："), SAID[text], strict=True):
        _language.choose(language)
        with pytest.raises(FormulaError) as caught:
            parse(text, ["alpha"])
        assert str(caught.value) == start + said


@pytest.mark.parametrize("text", [None, 3, b"x", ["x"], object()], ids=lambda one: type(one).__name__)
def test_what_is_no_text_is_refused(text):
    with pytest.raises(FormulaError, match=f"^formula: expected a text; got {type(text).__name__}$"):
        parse(text)


@pytest.mark.parametrize("names", ["alpha", 3, [3], ["x"], ["exp"], ["pi"], ["a", "a"], ["lambda"], ["a b"], ["é"], [""], ["a" * 41], [f"a{i}" for i in range(21)]])  # fmt: skip
def test_parameters_have_names_of_their_own(names):
    with pytest.raises(
        FormulaError, match=r"^formula: expected at most 20 different parameter names that are no functions"
    ):
        parse("x", names)


# Hostile texts.

HOSTILE = [
    "__import__('os').system('true')", "().__class__.__bases__[0]", "lambda x: x", "eval('1')", "exec('1')", "x if x else x", "x := 1", "import os",
    "f'{x}'", "x[0]", "{x}", "x;x", "@x", "x!", "9^9^9^9", "9**9**9**9", "((((9^9)^9)^9)^9)^9", "1e308*1e308*x", "x^1e300", "(2*x)^1000000",
    "1.0000001^1000^1000", "(((x+1)^1000)^1000)^1000", "0x10", "1_000", "1j", "١٢", "х", "ⅹ", "𝑥", "x²", "（x）", "\x00", "x\x00", "\ud800", "\u202ex",
    "1e999999999999", "1e-999999999", "1/0", "0/0", "log(0)", "sqrt(-1)", "asin(2)", "(" * 999, "-" * 999, "exp(" * 60 + "x" + ")" * 60, "x^" * 400 + "x",
    "1" * 41, "0." + "1" * 60, "max(" + ",".join("x" * 298) + ")", "where(x>0," * 90, "Piecewise(" * 90, "x" * 10_000_000, "1" * 10_000_000, "(" * 10_000_000,
]  # fmt: skip
WORDS = [*"x()+-*/^,<>.01", "alpha", "pi", "e", "exp", "log", "max", "where", "Piecewise", "True", "sqrt", "9999999999", "1e308", ".5", "**", ">=", " "]  # fmt: skip


def hostile(chance):
    """Bytes, heaps of tokens, spoilt formulas, and the texts above."""
    kind = chance.random()
    if kind < 0.25:
        return bytes(chance.randrange(256) for _ in range(chance.randrange(60))).decode("latin1")
    if kind < 0.55:
        return "".join(chance.choice(WORDS) for _ in range(chance.randrange(1, 50)))
    if kind < 0.65:
        return chance.choice(HOSTILE)
    text = list(chance.choice(list(FORMULAS.values()))[0])
    for _ in range(chance.randrange(1, 5)):
        text[chance.randrange(len(text)) : chance.randrange(len(text))] = chance.choice(
            [chr(chance.randrange(0x110000)), *WORDS]
        )
    return "".join(text)


def test_any_text_is_read_or_refused_with_little_work():
    """Work is counted in calls of Python functions, which no busy machine changes; the slowest formula takes a few milliseconds."""
    chance, refused, calls = random.Random(0), 0, 0

    def count(frame, event, argument):
        nonlocal calls
        calls += event == "call"

    for text in [*HOSTILE, *(hostile(chance) for _ in range(3000))]:
        calls = 0
        sys.setprofile(count)
        try:
            parse(text, ["alpha"])
        except FormulaError as error:
            refused += 1
            assert "\n" not in str(error)
            assert len(str(error)) < 400
        finally:
            sys.setprofile(None)
        assert calls < 15_000, text[:100]
    assert 2000 < refused < 3000 + len(HOSTILE)


def test_no_text_is_handed_to_python():
    for file in Path(formula.__file__).parent.glob("*.py"):
        source = file.read_text(encoding="utf-8")
        assert not any(
            word in source for word in ("eval(", "exec(", "sympify(", "parse_expr", "import ast", "lambdify")
        ), file


def test_reading_imports_no_library():
    script = "import sys, actlab.formula as f; f.parse('log(1 + exp(x))').latex(1); print(sorted({'sympy', 'mpmath', 'torch', 'numpy'} & set(sys.modules)))"  # fmt: skip
    assert subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout == "[]\n"


# Values and derivatives.


@each
@pytest.mark.parametrize("order", [0, 1, 2])
def test_torch_has_the_digits_of_the_definition(name, order):
    f, values = read(name)
    torch.testing.assert_close(f.torch(order)(points(), **values), exactly(f, order, values), rtol=1e-12, atol=1e-300)


@each
def test_autograd_agrees_at_the_extremes_too(name):
    f, values = read(name)
    parameters = {key: torch.tensor(value, dtype=F64, requires_grad=True) for key, value in values.items()}
    for order in (0, 1):
        x = points().requires_grad_()
        found, *by = torch.autograd.grad(
            f.torch(order)(x, **parameters).sum(), [x, *parameters.values()], materialize_grads=True
        )
        torch.testing.assert_close(found, f.torch(order + 1)(points(), **values), rtol=1e-9, atol=1e-12)
        if order == 0:
            for key, gradient in zip(parameters, by, strict=True):
                torch.testing.assert_close(gradient, f.torch_by(key)(points(), **values).sum(), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("name", SMOOTH)
def test_derivatives_are_sympys(name):
    f, values = read(name)
    x = sympy.Symbol("x", real=True)
    at = {sympy.Symbol(key, real=True): sympy.Rational(value) for key, value in values.items()} | {
        x: sympy.Rational(7, 10)
    }
    for order in (1, 2):
        expected = sympy.diff(f.expression, x, order).subs(at)
        assert float(f.derivative(order).subs(at)) == pytest.approx(float(expected), rel=1e-12)
    for key in values:
        expected = sympy.diff(f.expression, sympy.Symbol(key, real=True)).subs(at)
        assert float(f.derivative_by(key).subs(at)) == pytest.approx(float(expected), rel=1e-12)


@each
def test_sympy_gets_no_distributions(name):
    f, _ = read(name)
    for order in (1, 2):
        assert not f.derivative(order).has(sympy.DiracDelta, sympy.Heaviside, sympy.Derivative)


def test_the_expression_holds_exact_numbers_and_real_symbols():
    x, a = sympy.Symbol("x", real=True), sympy.Symbol("a", real=True)
    assert parse("max(0.1*x, a) + pi", ["a"]).expression == sympy.Max(x / 10, a) + sympy.pi
    assert parse("where(x > a, x, e)", ["a"]).expression == sympy.Piecewise((x, x > a), (sympy.E, True))


@pytest.mark.parametrize(
    ("text", "x", "expected"),
    [
        ("1 + erf(x/sqrt(2))", -30, lambda: mpmath.erfc(30 / mpmath.sqrt(2))),
        ("log(1 + exp(x))", -1e4, lambda: mpmath.exp(-10000)),
        ("1 - exp(-exp(x))", -1e4, lambda: mpmath.exp(-10000)),
        ("exp(-exp(x))", 20, lambda: mpmath.exp(-mpmath.exp(20))),
        ("1 - exp(-exp(x))", 1e4, lambda: mpmath.mpf(1)),
        ("tanh(x) - 1", 300, lambda: -2 / (mpmath.exp(600) + 1)),
        ("sin(x)", 1e300, lambda: mpmath.sin(mpmath.mpf(1e300))),
        ("x", 0.1, lambda: mpmath.mpf(0.1)),
        ("log(1 + exp(x))/exp(x) + 1", -1e4, lambda: mpmath.mpf(2)),
    ],
)
def test_exact_loses_no_digit_to_cancellation(text, x, expected):
    found = parse(text).exact()(x)
    with mp.workdps(1200):
        assert abs(found / expected() - 1) < mpmath.mpf(10) ** -49
    assert mp.prec == 53


def test_exact_derivatives_are_those_of_mpmath():
    with mp.workdps(60):
        for name in SMOOTH:
            f, values = read(name)
            for order in (1, 3):
                expected = mpmath.diff(
                    lambda x, f=f, values=values: f.exact(0, 400)(x, **values), mpmath.mpf("0.7"), order
                )
                assert abs(f.exact(order, 30)(mpmath.mpf("0.7"), **values) - expected) < 1e-12 * abs(expected)


def test_exact_is_nan_where_the_formula_is_undefined():
    assert mpmath.isnan(parse("log(x)").exact()(-1))
    assert mpmath.isnan(parse("1/x").exact()(0))
    assert mpmath.isnan(parse("max(sqrt(x), 0)").exact()(-1))
    assert mpmath.isnan(parse("x").exact()(math.nan))
    assert parse("where(x > 0, log(x), x)").exact()(-1) == -1


KINKS = {
    "relu(x)": (0, 0), "max(0, x)": (0, 0), "abs(x)": (0, 0), "clip(x, -1, 1)": (1, 0), "clip(x, -1, 1) + 0*x": (-1, 0), "min(x, 6)": (6, 0),
    "where(x > 0, x, 0.1*x)": (0, 0.1), "max(x, 0.2*x)": (0, 0.2), "sign(x)": (0, 0), "0.2*clip(x/2, 0, 3)": (0, 0),
}  # fmt: skip


@pytest.mark.parametrize("text", KINKS)
def test_at_a_kink_all_forms_take_the_same_side(text):
    f, (where, slope) = parse(text), KINKS[text]
    x = torch.tensor([where], dtype=F64, requires_grad=True)
    y = f.torch()(x)
    gradient = torch.autograd.grad(y, x)[0].item() if y.requires_grad else 0.0
    assert gradient == f.torch(1)(x.detach()).item() == float(f.exact(1)(where)) == slope


# Stability.

IDIOMS = {
    "log(1 + exp(x))": "torch.nn.functional.softplus(x, threshold=40)",
    "log(exp(2*x) + 1)": "torch.nn.functional.softplus(2 * x, threshold=40)",
    "log(1 + exp(-x))": "torch.nn.functional.softplus(-x, threshold=40)",
    "log1p(exp(x))": "torch.nn.functional.softplus(x, threshold=40)",
    "1/(1 + exp(x))": "torch.sigmoid(-x)",
    "a/(exp(-x) + 1)^2": "a * torch.sigmoid(x) ** 2",
    "exp(x)/(1 + exp(x))": "torch.sigmoid(x)",
    "1 - 1/(1 + exp(-x))": "torch.sigmoid(-x)",
    "exp(x) - 1": "torch.expm1(x)",
    "a*(exp(x) - 1)": "a * torch.expm1(x)",
    "a*exp(x) - a": "a * torch.expm1(x)",
    "1 - exp(x)": "-torch.expm1(x)",
    "log(1 + x)": "torch.log1p(x)",
    "log(exp(a) + exp(x))": "torch.logaddexp(x, a)",
    "1 + erf(x)": "torch.erfc(-x)",
    "0.5 - 0.5*erf(x)": "torch.erfc(x) / 2",
    "(exp(x) - exp(-x))/(exp(x) + exp(-x))": "torch.tanh(x)",
    "(1 - exp(-x))/(1 + exp(-x))": "torch.tanh(x / 2)",
    "(exp(2*x) - 1)/(exp(2*x) + 1)": "torch.tanh(x)",
    "2/(1 + exp(-2*x)) - 1": "torch.tanh(x)",
    "1 - tanh(x)^2": "4 * torch.sigmoid(-2 * x) * torch.sigmoid(2 * x)",
    "1 + tanh(x)": "2 * torch.sigmoid(2 * x)",
    "sqrt(x^2 + 4)": "torch.hypot(x, torch.full_like(x, 2))",
    "x*Phi(x)": "x * torch.erfc(-x / math.sqrt(2)) / 2",
    "where(x > 0, x, a*(exp(x) - 1))": "torch.where(x > 0, x, a * torch.expm1(x))",
}


@pytest.mark.parametrize("text", IDIOMS)
def test_idioms_are_recognised(text):
    assert parse(text, ["a"]).torch_code() == IDIOMS[text]


BRANCHES = [
    "where(x > 0, x, exp(x) - 1)", "where(x > 0, exp(-x), x)", "where(x > 0, log(x), x)", "where(x > 1, log(x - 1), x)", "where(x > 0.5, sqrt(x), x)",
    "where(x > 0.5, 1/x, x)", "where(x > 0, x*x*x*x, x)", "where(x > a, log(x - a), x)", "where(x > 0, log(x) + x^a, a*x)", "where(x < 100, x^7, 1)",
    "where(x > -2, where(x > 2, log(x - 2), x), 1/(x + 2))", "Piecewise((asin(x), abs(x) < 0.9), (x, True))", "where(x > 0.5, log(a*x), x/a)",
    "1/(1 + x^2 + exp(x))", "tanh(exp(x))", "x*tanh(x^3)", "erf(exp(x))*x", "exp(-cosh(x))", "atan(exp(x))", "x/sqrt(1 + x^2)",
]  # fmt: skip


@pytest.mark.parametrize("text", BRANCHES)
def test_branches_not_taken_and_overflow_leave_the_gradient_alone(text):
    f = parse(text, ["a"])
    x = torch.tensor([-1e4, -800.0, -5.0, -1.0, 0.0, 0.2, 0.8, 1.7, 5.0, 800.0, 1e4], dtype=F64, requires_grad=True)
    a = torch.tensor(0.3, dtype=F64, requires_grad=True)
    for order in (0, 1):
        y = f.torch(order)(x, a=a)
        gradients = torch.autograd.grad(y.sum(), [x, a], materialize_grads=True)
        assert all(one.isfinite().all() for one in (y, *gradients)), order
        torch.testing.assert_close(gradients[0], f.torch(order + 1)(x.detach(), a=0.3), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("text", ["where(x > 0, x, 0)", "where(x > 0, 1, 0)", "relu(x)", "max(0, 1, x)", "sign(x)", "1", "clip(x, -1, 1)", "abs(x)", "a", "exp(x)", "min(a, x)"])  # fmt: skip
def test_nan_stays_nan(text):
    f = parse(text, ["a"])
    for order in (0, 1):
        y = f.torch(order)(torch.tensor([math.nan, 1.0]), a=2.0)
        assert y.shape == (2,)
        assert y[0].isnan()
        assert not y[1].isnan()


# Tensors.


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16], ids=str)
def test_half_precision_is_rounded_once(dtype):
    x = torch.arange(-0x7000, 0x7000, 97).to(torch.int16).view(dtype)
    x = x[x.isfinite()]
    f = parse("x*tanh(log(1 + exp(x)))*b", ["b"])
    found = f.torch()(x, b=torch.tensor(1.1))
    assert found.dtype == dtype
    torch.testing.assert_close(found, f.torch()(x.float(), b=1.1).to(dtype), rtol=0, atol=0, equal_nan=True)


def test_parameters_are_tensors_that_broadcast_and_learn():
    f = parse("where(x > a, b*(x - a), log1p(exp(b*x)))", ["a", "b"])
    x = torch.linspace(-2, 2, 5, dtype=F64)
    a, b = (torch.tensor(v, dtype=F64, requires_grad=True) for v in ([[0.15], [0.25], [-0.35]], 0.7))
    assert f.torch()(x, a=a, b=b).shape == (3, 5)
    assert torch.autograd.gradcheck(lambda x, a, b: f.torch()(x, a=a, b=b), (x.requires_grad_(), a, b))
    assert torch.autograd.gradgradcheck(lambda x, a, b: f.torch()(x, a=a, b=b), (x, a, b))
    assert f.torch()(torch.arange(3), a=0.0, b=1.0).dtype == torch.float32
    assert f.torch()(torch.empty(0, 2), a=0.0, b=1.0).shape == (0, 2)


def test_functions_can_be_mapped_and_differentiated_forwards():
    f = parse("where(x > 0, x, exp(x) - 1)*sinc(x)")
    x = torch.linspace(-2.1, 2, 6, dtype=F64)
    found = torch.func.jvp(f.torch(), (x,), (torch.ones_like(x),))[1]
    torch.testing.assert_close(found, f.torch(1)(x))
    torch.testing.assert_close(torch.vmap(torch.func.grad(torch.func.grad(f.torch())))(x), f.torch(2)(x))


def test_wrong_arguments_have_their_sentence():
    f = parse("a*x", ["a"])
    for call in (f.torch(), f.exact()):
        with pytest.raises(FormulaError, match=r"^formula: expected the parameters: a; got: b$"):
            call(torch.tensor(1.0), b=1.0)
    with pytest.raises(FormulaError, match=r"^formula: no parameter 'aa'; did you mean 'a'\?$"):
        f.torch_by("aa")
    with pytest.raises(FormulaError, match=r"^formula: expected an order from 0 to 8; got -1$"):
        f.torch(-1)
    with pytest.raises(FormulaError, match=r"^formula: expected 1 to 1000 digits; got 0$"):
        f.exact(digits=0)
    with pytest.raises(FormulaError, match=r"^formula: expected a tensor of real numbers; got float$"):
        f.torch()(1.0, a=1.0)  # pyright: ignore[reportArgumentType]
    with pytest.raises(FormulaError, match=r"^formula: expected a finite number; got inf$"):
        f.exact()(math.inf, a=1)


# Texts to read.


@pytest.mark.parametrize(
    ("text", "order", "expected"),
    [
        ("log(1 + exp(x - 1)) - 0.08*x - 0.313", 0, r"\ln\left(1 + e^{x - 1}\right) - 0.08 x - 0.313"),
        ("x/(1 + exp(-beta*x))", 0, r"\frac{x}{1 + e^{-\beta x}}"),
        ("x/(1 + exp(-beta*x))", 1, r"\frac{1}{1 + e^{-\beta x}} + \frac{\beta x e^{-\beta x}}{\left(1 + e^{-\beta x}\right)^{2}}"),
        ("where(x > 0, x, alpha*(exp(x) - 1))", 0, r"\begin{cases} x & x > 0 \\ \alpha \left(e^{x} - 1\right) & \text{otherwise} \end{cases}"),
        ("where(x > 0, x, alpha*(exp(x) - 1))", 1, r"\begin{cases} 1 & x > 0 \\ \alpha e^{x} & \text{otherwise} \end{cases}"),
        ("x/(1 + abs(x))", 1, r"\frac{1}{\left(1 + \left|x\right|\right)^{2}}"),
        ("x*(1 + erf(x/sqrt(2)))/2", 1, r"\frac{1 + \operatorname{erf}\left(\frac{x}{\sqrt{2}}\right)}{2} + \frac{x e^{-\frac{x^{2}}{2}}}{\sqrt{2 \pi}}"),
        ("tanh(x)^2*3*2 - (x - 1)*(-x)", 0, r"\tanh^{2}\left(x\right) \cdot 3 \cdot 2 - \left(x - 1\right) \left(-x\right)"),
        ("alpha_1*x^a2 + negative_slope", 0, r"\alpha_{1} x^{a_{2}} + \mathrm{negative\_slope}"),
        ("1e-9*x", 0, r"10^{-9} x"),
    ],
)  # fmt: skip
def test_latex(text, order, expected):
    assert parse(text, ["alpha", "beta", "alpha_1", "a2", "negative_slope"]).latex(order) == expected


def test_latex_speaks_chinese():
    _language.choose("zh")
    assert r"\text{其他}" in parse("where(x > 0, x, 0)").latex()


@pytest.mark.parametrize("name", FORMULAS)
def test_torch_code_says_what_torch_does(name):
    f, values = read(name)
    x = torch.linspace(-3, 4, 15, dtype=F64)
    parts = {key: torch.tensor(value, dtype=F64) for key, value in values.items()}
    for order in (0, 1, 2):
        shown = eval(f.torch_code(order), {"torch": torch, "math": math, "x": x, **parts})
        expected = f.torch(order)(x, **values)
        torch.testing.assert_close(torch.as_tensor(shown, dtype=F64).expand(15), expected, rtol=1e-7, atol=1e-7)


def test_a_formula_can_be_compared_stored_and_asked_for_its_names():
    f = parse("ln(x)*alpha + pi", ["alpha", "unused"])
    assert f.names == {"x", "alpha", "pi", "log"}
    assert pickle.loads(pickle.dumps(f)) == f == parse("ln(x)*alpha + pi", ("alpha", "unused")) != parse("x")
    assert len({f, parse("ln(x)*alpha + pi", ["alpha", "unused"])}) == 1


# JavaScript.


def javascript(program):
    node = shutil.which("node")
    if node is None:
        pytest.skip("node is not installed")
    done = subprocess.run([node, "-"], input=JAVASCRIPT_PRELUDE + program, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr[:500]
    return json.loads(done.stdout.replace('"NaN"', "NaN"))


def test_javascript_has_the_digits_of_torch():
    grid = [*POINTS, *torch.linspace(-8, 8, 41, dtype=F64).tolist(), math.nan]
    cases = [(*read(name), order) for name in FORMULAS for order in (0, 1, 2)]
    functions = ",\n".join(f"[{f.javascript(order)}, {list(values.values())}]" for f, values, order in cases)
    script = f"const X = {json.dumps(grid)}; const show = (v) => Number.isFinite(v) ? v : String(v);"
    rows = javascript(
        f"{script} console.log(JSON.stringify([{functions}].map(([f, a]) => X.map((x) => show(f(x, ...a))))));"
    )
    for (f, values, order), row in zip(cases, rows, strict=True):
        expected = f.torch(order)(torch.tensor(grid, dtype=F64), **values)
        torch.testing.assert_close(torch.tensor(row, dtype=F64), expected, rtol=1e-12, atol=1e-290, equal_nan=True, msg=lambda m, f=f: f"{f.text}: {m}")  # fmt: skip


def test_the_special_functions_of_the_prelude_have_full_precision():
    grid = [
        -30.0,
        -6.0,
        -1.5,
        -1.0,
        -0.7,
        -1e-9,
        0.0,
        1e-300,
        1e-3,
        0.2,
        0.49,
        0.51,
        0.99,
        1.01,
        2.3,
        4.7,
        9.0,
        15.1,
        26.0,
    ]
    rows = javascript(
        f"console.log(JSON.stringify({grid}.map((x) => [erf(x), erfc(x), sinc(x), sinc(x, 1), sinc(x, 2)])));"
    )
    for x, row in zip(grid, rows, strict=True):
        with mp.workdps(30):
            expected = [
                float(mpmath.erf(x)),
                float(mpmath.erfc(x)),
                *(float(parse("sinc(x)").exact(k)(x)) for k in range(3)),
            ]
        assert row[:2] == pytest.approx(expected[:2], rel=1e-14, abs=0)
        assert row[2:] == pytest.approx(expected[2:], rel=1e-13, abs=1e-15)


def test_a_parameter_may_have_a_name_that_javascript_keeps_for_itself():
    f = parse("x*var + rise*function*(exp(x)-1)/sqrt(1+x^2)", ["var", "rise", "function"])
    assert javascript(f"console.log(({f.javascript()})(2, 3, 5, 7));") == pytest.approx(
        float(f.exact()(2, var=3, rise=5, function=7))
    )


# Formulas by chance.


def by_chance(chance, depth):
    if depth == 0 or chance.random() < 0.2:
        return chance.choice(["x", "x", "x", "a", "2", "0.5", "3", "pi", "1"])
    below = [by_chance(chance, depth - 1) for _ in range(3)]
    shapes = ["({} + {})", "({} - {})", "({}*{})", "({}/{})", "(-{})", "({})^2", "where({} < {}, {}, x)", "max({}, {})", "clip({}, -1, {})", "logaddexp({}, {})"]  # fmt: skip
    ones = ["exp", "log", "log1p", "expm1", "sqrt", "sin", "cos", "atan", "sinh", "tanh", "asinh", "erf", "erfc", "abs", "relu", "sigmoid", "softplus", "Phi", "sinc"]  # fmt: skip
    return chance.choice([*shapes, *(f"{one}({{}})" for one in ones)]).format(*below)


def test_formulas_by_chance_agree_with_their_definitions():
    """Two independent roads: Taylor series of the text at 50 digits, and symbolic derivatives of recognised idioms in torch."""
    chance, compared = random.Random(1), 0
    where = [-1.3, 0.4]
    for _ in range(150):
        try:
            f = parse(by_chance(chance, 4), ["a"])
        except FormulaError:  # a constant part that is undefined
            continue
        for order in (0, 1):
            expected, found = (
                exactly(f, order, {"a": 0.7}, where),
                f.torch(order)(torch.tensor(where, dtype=F64), a=0.7),
            )
            defined = expected.isfinite()
            torch.testing.assert_close(found[defined], expected[defined], rtol=1e-8, atol=1e-8, msg=lambda m, f=f: f"{f.text}: {m}")  # fmt: skip
            compared += int(defined.sum())
    assert compared > 300
