"""Mutation tests: which small changes to a module does no test notice?

``python benchmarks/mutation.py [MODULE ...]`` makes each change that ``changes`` yields, one at a
time, and runs the module's ``TESTS`` on it, in a process forked after the libraries are imported.
It writes ``results/measured/mutation.csv`` and lists survivors in ``mutation_survivors.csv``, where
``equivalent`` (yes or no) and ``why`` are filled in by hand and kept. Linux only; takes minutes.
"""

from __future__ import annotations

import argparse
import ast
import copy
import csv
import importlib
import os
import platform
import resource
import signal
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from datetime import date
from functools import partial
from importlib.machinery import SourceFileLoader
from multiprocessing import get_context
from pathlib import Path
from types import CodeType
from typing import Any, NamedTuple

import pytest

# This file imports nothing from models or roadmap: each fork imports them with its change.
ROOT = Path(__file__).resolve().parents[1]
MEASURED = ROOT / "results" / "measured"
#: The modules and the tests of each, fastest first.
TESTS = {
    "models/config.py": ("models/test_config.py", "test_steps.py"),
    "models/spec.py": ("models/test_spec.py", "models/test_remembered.py"),
    "roadmap/analysis/ablation.py": (
        "analysis/test_ablation.py",
        "analysis/test_analysis_table.py",
    ),
    "roadmap/analysis/audit.py": ("analysis/test_audit.py",),
    "roadmap/analysis/comparable.py": ("analysis/test_ablation.py",),
    "roadmap/analysis/evidence.py": ("analysis/test_evidence.py",),
    "roadmap/analysis/narrowing.py": ("analysis/test_narrowing.py",),
    "roadmap/analysis/significance.py": ("analysis/test_significance.py",),
    "roadmap/analysis/table.py": ("analysis/test_analysis_table.py", "analysis/test_ablation.py"),
    "roadmap/analysis/verdict.py": ("analysis/test_verdict.py", "analysis/test_ablation.py"),
    "roadmap/runs/live.py": ("train/test_live.py",),
    **{
        f"roadmap/runs/{name}.py": (
            "runs/test_record.py",
            "runs/test_reader.py",
            "runs/test_broken_runs.py",
        )
        for name in ("folders", "lock", "metrics", "reader", "record")
    },
}
LIBRARIES = ("hypothesis", "numpy", "pandas", "scipy.stats", "timm", "torch", "torchvision")
OPTIONS = (
    *("-x", "-q", "-o", "addopts=", "-m", "not measured", "--hypothesis-seed=0"),
    *("-p", "no:cacheprovider", "-p", "_hypothesis_pytestplugin"),
)
MOST_BYTES = 8 * 2**30

COMPARISONS: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
    ast.Is: ast.IsNot,
    ast.IsNot: ast.Is,
    ast.In: ast.NotIn,
    ast.NotIn: ast.In,
}
OPERATORS: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Div,
    ast.Div: ast.Mult,
    ast.FloorDiv: ast.Mult,
    ast.Mod: ast.FloorDiv,
    ast.Pow: ast.Mult,
    ast.BitOr: ast.BitAnd,
    ast.BitAnd: ast.BitOr,
}
FUNCTIONS = {"min": "max", "max": "min", "any": "all", "all": "any", "sorted": "list"}


class Mutant(NamedTuple):
    """A module with one change: ``before`` is replaced by ``after`` in the source line ``line``."""

    module: str
    line: str
    before: str
    after: str
    code: CodeType


def mutants(module: str) -> Iterator[Mutant]:
    """Every mutant of a module, a path relative to the repository."""
    text = (ROOT / module).read_text()
    lines, tree = text.splitlines(), ast.parse(text)
    for owner, name, node, around in _places(tree, ()):
        for changed in changes(node, ast.Raise in around):
            # Change the tree in place and undo it: copying it for each mutant would take longer.
            _put(owner, name, ast.copy_location(changed, node))
            code = compile(ast.fix_missing_locations(tree), str(ROOT / module), "exec")
            _put(owner, name, node)
            before, after = (ast.unparse(each).splitlines()[0] for each in (node, changed))
            yield Mutant(module, lines[node.lineno - 1].strip(), before, after, code)


def changes(node: ast.AST, within_raise: bool) -> Iterator[ast.AST]:
    """Yield replacements for ``node``, each a plausible mistake."""
    match node:
        case ast.Constant() if within_raise:
            return  # a message
        case ast.Constant(value=bool(value)):
            yield ast.Constant(not value)
        case ast.Constant(value=int(number) | float(number)):
            yield ast.Constant(number + 1)
        case ast.Constant(value=str(text)) if " " not in text:  # else a message
            yield ast.Constant(f"{text}~")
        case ast.Compare(ops=ops):
            for index, op in enumerate(ops):
                yield _with(node, ops=[*ops[:index], COMPARISONS[type(op)](), *ops[index + 1 :]])
        case ast.BoolOp(op=op):
            yield _with(node, op=ast.Or() if isinstance(op, ast.And) else ast.And())
        case ast.BinOp(op=op) | ast.AugAssign(op=op) if type(op) in OPERATORS:
            yield _with(node, op=OPERATORS[type(op)]())
        case ast.UnaryOp(op=ast.Not() | ast.USub()):
            yield node.operand
        case ast.Return(value=ast.expr() as value) if ast.unparse(value) != "None":
            yield ast.Return(ast.Constant(None))
        case ast.Expr(value=ast.Call()) | ast.Raise():
            yield ast.Pass()
        case ast.Continue():
            yield ast.Break()
        case ast.If(test=test) | ast.IfExp(test=test) if not isinstance(test, ast.Compare):
            yield _with(node, test=ast.UnaryOp(ast.Not(), test))
        case ast.Call(func=function, keywords=keywords):
            if isinstance(function, ast.Name) and function.id in FUNCTIONS:
                yield _with(node, func=ast.Name(FUNCTIONS[function.id], ast.Load()))
            for index in range(len(keywords)):
                yield _with(node, keywords=keywords[:index] + keywords[index + 1 :])


def _with(node: ast.AST, **fields: Any) -> ast.AST:
    changed = copy.copy(node)
    for name, value in fields.items():
        setattr(changed, name, value)
    return changed


def _places(
    owner: ast.AST, around: tuple[type[ast.AST], ...]
) -> Iterator[tuple[ast.AST, tuple[str, int | None], ast.AST, tuple[type[ast.AST], ...]]]:
    """Each node below ``owner`` with the field that holds it, and the kinds of nodes around it."""
    message = isinstance(owner, ast.JoinedStr) and " " in ast.unparse(owner)
    around = (*around, ast.Raise if message else type(owner))
    for name, value in ast.iter_fields(owner):
        if name in ("annotation", "returns", "decorator_list", "format_spec"):
            continue
        several = value if isinstance(value, list) else [value]
        for index, node in enumerate(several):
            if not isinstance(node, ast.AST) or _has_no_effect(node):
                continue
            if hasattr(node, "lineno"):
                yield owner, (name, index if several is value else None), node, around
            yield from _places(node, around)


def _has_no_effect(node: ast.AST) -> bool:
    """Return whether ``node`` is a docstring, ``__all__`` or a block for type checkers."""
    match node:
        case ast.Expr(value=ast.Constant()) | ast.If(test=ast.Name("TYPE_CHECKING")):
            return True
        case ast.Assign(targets=[ast.Name("__all__")]):
            return True
    return False


def _put(owner: ast.AST, place: tuple[str, int | None], node: ast.AST) -> None:
    name, index = place
    if index is None:
        setattr(owner, name, node)
    else:
        getattr(owner, name)[index] = node


def survivors(found: list[Mutant], tests: list[str], jobs: int) -> list[Mutant]:
    """Return the mutants in ``found`` (of one module) that pass ``tests`` within the time limit."""
    module = found[0].module
    code = compile((ROOT / module).read_text(), str(ROOT / module), "exec")
    began = time.monotonic()
    if not _surviving([Mutant(module, "", "", "", code)], tests, 600, jobs):
        sys.exit(f"the tests of {module} fail without a change")
    limit = 20 + int(5 * (time.monotonic() - began))
    survived = _surviving(found, tests, limit, jobs)
    return [mutant for mutant in found if mutant in survived]


def _surviving(left: list[Mutant], tests: list[str], limit: int, jobs: int) -> list[Mutant]:
    left, running, survived = left[::-1], {}, []
    while left or running:
        if left and len(running) < jobs:
            mutant = left.pop()
            running[_forked(partial(_tested, mutant, tests), limit)] = mutant
            continue
        mutant, status = _wait(running)
        if status == 0:
            survived.append(mutant)
            print(*filter(None, mutant[:4]), sep=" | ", flush=True)
    return survived


def _tested(mutant: Mutant, tests: list[str]) -> int:
    """Run ``tests`` with the changed code in place of the module, which is not imported so far."""
    usual = SourceFileLoader.get_code
    name = mutant.module.removesuffix(".py").removesuffix("/__init__").replace("/", ".")
    SourceFileLoader.get_code = lambda loader, asked: (  # type: ignore[method-assign]
        mutant.code if asked == name else usual(loader, asked)
    )
    return int(pytest.main([*OPTIONS, *tests]))


def _forked(act: Callable[[], int], limit: int) -> int:
    """Fork a silent process, in a process group of its own, that exits with the result of ``act``.

    Return its process ID. It is killed after ``limit`` seconds.
    """
    child = os.fork()
    if child:
        return child
    os.setsid()
    signal.alarm(limit)
    resource.setrlimit(resource.RLIMIT_DATA, (MOST_BYTES, MOST_BYTES))
    null = os.open(os.devnull, os.O_RDWR)
    for stream in (1, 2):
        os.dup2(null, stream)
    try:
        status = act()
    except BaseException:
        status = 1
    os._exit(status)


def _wait(running: dict[int, Any]) -> tuple[Any, int]:
    child, status = os.wait()
    with suppress(ProcessLookupError):
        os.killpg(child, signal.SIGKILL)  # processes that the tests started and did not end
    return running.pop(child), status


def judged(module: str, survived: list[Mutant]) -> list[dict[str, str]]:
    """Replace the module's rows in mutation_survivors.csv; keep ``equivalent`` and ``why``.

    Return the new rows.
    """
    path = MEASURED / "mutation_survivors.csv"
    names = ("module", "line", "before", "after", "equivalent", "why")
    rows = _read(path)
    before = {tuple(row[name] for name in names[:4]): row for row in rows}
    found = [
        before.get(mutant[:4], dict(zip(names, (*mutant[:4], "", ""), strict=True)))
        for mutant in survived
    ]
    _write(path, [row for row in rows if row["module"] != module] + found, names)
    return found


def _read(path: Path) -> list[dict[str, str]]:
    if not path.exists():
        return []
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def _write(path: Path, rows: list[dict[str, str]], names: Iterable[str]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, names, lineterminator="\n")
        writer.writeheader()
        writer.writerows(sorted(rows, key=lambda row: row["module"]))


def measure(module: str, tests: list[str], jobs: int) -> None:
    """Measure one module and write its rows. Imports the module, so it needs its own process."""
    found = list(mutants(module))
    survived = survivors(found, tests, jobs)
    row = {
        "module": module,
        "mutants": len(found),
        "killed": len(found) - len(survived),
        "survived": len(survived),
        "equivalent": sum(row["equivalent"] == "yes" for row in judged(module, survived)),
        "python": platform.python_version(),
        "pytest": pytest.__version__,
        "date": date.today(),
    }
    path = MEASURED / "mutation.csv"
    _write(path, [old for old in _read(path) if old["module"] != module] + [row], row)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "modules", nargs="*", default=TESTS, metavar="MODULE", help="[default: all]"
    )
    parser.add_argument("--jobs", type=int, default=2, help="processes at once [default: 2]")
    asked = parser.parse_args()
    for module in asked.modules:
        if module not in TESTS:
            parser.error(f"{module} is not one of the modules: use {', '.join(TESTS)}")
    os.chdir(ROOT)
    # Plugins of installed packages would slow down every run.
    os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
    for name in LIBRARIES:
        importlib.import_module(name)
    for module in asked.modules:
        tests = [f"tests/{test}" for test in TESTS[module]]
        child = get_context("fork").Process(target=measure, args=(module, tests, asked.jobs))
        child.start()
        child.join()
        if child.exitcode:
            sys.exit(child.exitcode)


if __name__ == "__main__":
    main()
