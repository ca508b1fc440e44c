"""Changes the pure core on purpose, one small change at a time, and lists those that no test notices.

    python -m tests.mutate shared/policy/backoff.py shared/domain

Each change is made in a copy of the tree and judged by `tests/unit/<folder>` (and `tests/<folder>`
for providers) alone. Some of what is listed means the same as before; the rest wants a test.
"""

from __future__ import annotations

import ast
import faulthandler
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import hypothesis  # noqa: F401  loaded once, before the forks
import pytest

ROOT: Final = Path(__file__).parents[1]
PURE: Final = ("shared/domain", "shared/mime", "shared/policy", "shared/providers")
SECONDS_FOR_THE_TESTS: Final = 120
OPTIONS: Final = ("-x", "-q", "-p", "no:randomly", "-p", "no:cacheprovider", "-W", "ignore:Module already imported")

_OPPOSITES: Final[dict[type[ast.AST], type[ast.AST]]] = {
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.Is: ast.IsNot,
    ast.IsNot: ast.Is,
    ast.In: ast.NotIn,
    ast.NotIn: ast.In,
    ast.And: ast.Or,
    ast.Or: ast.And,
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Div,
    ast.Div: ast.Mult,
    ast.FloorDiv: ast.Mult,
    ast.LShift: ast.RShift,
    ast.RShift: ast.LShift,
    ast.BitAnd: ast.BitOr,
    ast.BitOr: ast.BitAnd,
}


def replacement(node: ast.AST) -> ast.AST | None:
    """Return what `node` is changed into, or None where it stays."""
    if type(node) in _OPPOSITES:
        return _OPPOSITES[type(node)]()
    if isinstance(node, ast.stmt):
        return _other_statement(node)
    match node:
        case ast.UnaryOp(op=ast.Not(), operand=operand):
            return operand
        case ast.Constant(value=bool(truth)):
            return ast.Constant(not truth)
        case ast.Constant(value=int(number) | float(number)):
            return ast.Constant(number + 1)
    return None


def _other_statement(node: ast.stmt) -> ast.stmt | None:
    match node:
        case ast.If(test=ast.Name() | ast.Attribute() | ast.Call() as test, body=body, orelse=orelse):
            return ast.If(ast.UnaryOp(ast.Not(), test), body, orelse)
        case ast.Return(value=ast.expr() as value) if not isinstance(value, ast.Constant):
            return ast.Return(ast.Constant(None))
        case ast.AugAssign() | ast.Raise() | ast.Expr(value=ast.Call()):
            return ast.Pass()
    return None


def _in_words(node: ast.AST) -> str:
    return type(node).__name__ if type(node) in _OPPOSITES else ast.unparse(node).partition("\n")[0]


class OneChange(ast.NodeTransformer):
    """Makes the change with number `wanted`; `made` says which it was, "" where there is none."""

    def __init__(self, wanted: int) -> None:
        self._left = wanted
        self._line = 0
        self.made = ""

    def visit(self, node: ast.AST) -> ast.AST:
        self._line = getattr(node, "lineno", self._line)
        changed = None if self.made else replacement(node)
        if changed is not None:
            self._left -= 1
            if self._left < 0:
                self.made = f"{self._line}: {_in_words(node)}  ->  {_in_words(changed)}"
                return ast.copy_location(changed, node)
        visited: ast.AST = super().visit(node)
        return visited

    def visit_arg(self, node: ast.arg) -> ast.arg:
        return node  # annotations decide nothing

    def visit_AnnAssign(self, node: ast.AnnAssign) -> ast.AnnAssign:
        if isinstance(changed := node.value and self.visit(node.value), ast.expr):
            node.value = changed
        return node


def changes(source: str) -> Iterator[tuple[str, str]]:
    """Yield each changed source with the words for its change."""
    number = 0
    while True:
        change = OneChange(number)
        tree = ast.fix_missing_locations(change.visit(ast.parse(source)))
        if not change.made:
            return
        yield ast.unparse(tree), change.made
        number += 1


def tests_of(module: Path) -> list[str]:
    """Return the folders of tests that answer for `module`."""
    folder = module.relative_to(ROOT).parts[1]
    folders = [f"tests/unit/{folder}", *(["tests/providers"] if folder == "providers" else [])]
    return [name for name in folders if any((ROOT / name).glob("test_*.py"))]


def _judge(tree: Path, tests: list[str]) -> int:
    faulthandler.dump_traceback_later(SECONDS_FOR_THE_TESTS, exit=True)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.dup2(nowhere, 2)
    os.chdir(tree)
    sys.path[:] = [str(tree), *(entry for entry in sys.path if entry != str(ROOT))]
    sys.modules.pop("tests", None)
    return pytest.main([*OPTIONS, *tests])


def passes(tree: Path, tests: list[str]) -> bool:
    """Return whether the tests pass in `tree`, judged in a fork that dies with what it loaded."""
    verdict = 1
    child = os.fork()
    if child == 0:
        try:
            verdict = _judge(tree, tests)
        finally:
            os._exit(verdict)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def examine(module: Path, tree: Path) -> tuple[int, list[str]]:
    """Return how many changes of `module` were tried, and those that no test noticed."""
    name, source = module.relative_to(ROOT), module.read_text()
    tests, tried, unnoticed = tests_of(module), 0, []
    if not tests or not passes(tree, tests):
        sys.exit(f"{name}: its tests are missing or fail before anything is changed")
    for changed, words in changes(source):
        (tree / name).write_text(changed)
        tried += 1
        if passes(tree, tests):
            unnoticed.append(f"{name}:{words}")
            print(unnoticed[-1], flush=True)
    (tree / name).write_text(source)
    return tried, unnoticed


def main() -> None:
    """Examine the modules and folders named on the command line, or all of the pure core."""
    paths = [ROOT / name for name in sys.argv[1:] or PURE]
    modules = [file for path in paths for file in ([path] if path.is_file() else sorted(path.rglob("*.py")))]
    sys.dont_write_bytecode = True
    with tempfile.TemporaryDirectory() as folder:
        tree = Path(folder)
        for part in ("reliable_email", "services", "shared", "tests"):
            shutil.copytree(ROOT / part, tree / part, ignore=shutil.ignore_patterns("__pycache__"))
        shutil.copy(ROOT / "pyproject.toml", tree)
        results = [examine(module, tree) for module in modules if module.name != "__init__.py"]
    print(f"{sum(tried for tried, _ in results)} changes, {sum(len(left) for _, left in results)} not noticed")


if __name__ == "__main__":
    main()
