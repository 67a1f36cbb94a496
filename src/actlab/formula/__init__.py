"""A formula in text: read by a whitelist, then sympy, LaTeX, derivatives, stable torch, JavaScript, and as many digits as asked for."""

from ._error import FormulaError as FormulaError
from ._formula import Formula as Formula
from ._formula import parse as parse
from ._prelude import JAVASCRIPT_PRELUDE as JAVASCRIPT_PRELUDE
