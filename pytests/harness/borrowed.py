"""Tests of other folders, for the files here."""

import importlib.util
from pathlib import Path

import pytest

TESTS = Path(__file__).resolve().parents[1]


def borrow(path, into):
    """Puts everything of that test file into a module's globals. pytest then takes it for the module's own."""
    name = "borrowed_" + Path(path).stem
    spec = importlib.util.spec_from_file_location(name, str(TESTS / path))
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    into.update({key: value for key, value in vars(module).items() if not key.startswith("__")})
    into["pytestmark"] = pytest.mark.one_form  # where they come from they run in all
