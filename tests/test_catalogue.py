"""Every pointwise entry of the catalogue through every check of checks.py: adding an entry adds its tests."""

import pytest

import checks
from actlab import activations

ENTRIES = {name: activations.get(name) for name in activations.names(vectors=False)}


@pytest.mark.parametrize("check", checks.CHECKS, ids=lambda check: check.__name__.removeprefix("check_"))
@pytest.mark.parametrize("name", ENTRIES)
def test_entry(name, check):
    check(ENTRIES[name])
