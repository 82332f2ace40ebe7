"""The numbers of the structure, on sources small enough to count by hand."""

import ast

from benchmarks.structure import ROOT, cyclomatic, globals_of, rebound_of, structure_of

FUNCTION = """
def decide(a, b):                         # 1
    if a and b or a:                      # if, and, or
        return [x for x in a if x if b]   # comprehension and its two ifs
    for x in b:                           # for
        try:
            a = x if b else a             # the expression's if
        except ValueError:                # handler
            pass
    def inner():                          # counted by itself
        if a:
            return b
    return inner
"""

MODULE = """
from threading import Lock, local
TABLE = {"a": 1}          # nobody changes it
_cache = {}
_here = local()
_lock = Lock()
_session = None
_names: list[str] = []

def begin():
    global _session
    _cache["a"] = 1
    _names.append("a")
"""


def test_cyclomatic_complexity() -> None:
    function, inner = (one for one in ast.walk(ast.parse(FUNCTION)) if isinstance(one, ast.FunctionDef))
    assert cyclomatic(function) == 1 + 3 + 3 + 1 + 1 + 1
    assert cyclomatic(inner) == 2


def test_module_globals() -> None:
    module = ast.parse(MODULE)
    assert set(globals_of(module)) == {"_cache", "_here", "_lock", "_session", "_names"}
    assert set(rebound_of(module)) == {"_session"}


def test_this_tree_keeps_its_goals() -> None:
    found = structure_of(ROOT)
    assert found.fullest[0] <= 12, found.fullest
    assert found.circles == 0
