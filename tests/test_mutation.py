"""The command line of benchmarks/mutation.py, without running any mutant."""

import sys

import mutation
import pytest


def test_an_unknown_module_is_refused_before_any_is_measured(monkeypatch, capsys):
    monkeypatch.setattr(mutation, "get_context", None)
    monkeypatch.setattr(sys, "argv", ["mutation.py", "models/spec.py", "models/specs.py"])
    with pytest.raises(SystemExit) as end:
        mutation.main()
    assert end.value.code == 2
    error = capsys.readouterr().err.splitlines()[-1]
    assert (
        "models/specs.py is not one of the modules: use models/config.py, models/spec.py" in error
    )
