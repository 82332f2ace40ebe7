"""Which of a program's functions answers which path."""

import ast
from collections.abc import Iterator


def handlers(source: str) -> dict[str, str]:
    """The path of each function that is decorated with a path, or handed to a call together with one."""
    return dict(_found(ast.parse(source)))


def _found(tree: ast.AST) -> Iterator[tuple[str, str]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            calls = [one for one in node.decorator_list if isinstance(one, ast.Call)]
            yield from ((node.name, path) for call in calls for path in _paths(call))
        elif isinstance(node, ast.Call):
            named = [one.id for one in node.args if isinstance(one, ast.Name)]
            yield from ((name, path) for path in _paths(node) for name in named)


def _paths(call: ast.Call) -> list[str]:
    texts = [one.value for one in call.args[:2] if isinstance(one, ast.Constant) and isinstance(one.value, str)]
    if isinstance(call.func, ast.Name) and call.func.id == "path":  # Django's, whose routes begin without a stroke
        return [f"/{one}" for one in texts[:1]]
    return [one for one in texts if one.startswith("/")]
