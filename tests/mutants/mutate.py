"""The mutants of a module: each is the module with one small mistake in it.

The mistakes are mutmut's, and some that matter in a safety core and that mutmut does not make: a
statement left out, a condition turned round, an operand of `and` or `or` dropped, a value not
returned. Unlike mutmut itself this also mutates what is outside functions (the read list, limits)
and functions with decorators (properties, context managers).

Not mutated: types, imports, docstrings, decorators, and the wording of sentences: tests hold what
is refused and that a person is told, not each letter of it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, cast

import libcst as cst
import libcst.matchers as m
from libcst.metadata import MetadataWrapper, PositionProvider
from mutmut.mutation.file_mutation import deep_replace
from mutmut.mutation.mutators import mutation_operators, operator_arg_removal, operator_string

Operator = tuple[type[cst.CSTNode], Callable[[Any], Iterable[cst.CSTNode]]]
Change = tuple[cst.CSTNode, cst.CSTNode]
BIG = m.SimpleString('"big"')


@dataclass(frozen=True)
class Mutant:
    """One module with one mistake.

    Attributes:
        key: function, original and mutated lines; the same as long as these are.
        code: the whole mutated module.
        lines: first and last line, in the original, of the statement that holds the mistake.
        in_function: the mistake is in the body of a function.
    """

    key: str
    code: str
    lines: tuple[int, int]
    in_function: bool


def mutants(source: str) -> list[Mutant]:
    """All mutants of a module's source, in the order of the places where they differ."""
    wrapper = MetadataWrapper(cst.parse_module(source), unsafe_skip_copy=True)
    finder = _Finder()
    wrapper.visit(finder)
    found: list[Mutant] = []
    seen, texts = Counter[str](), {source}
    for (old, new), scope, lines, in_function in finder.changes:
        code = cast(cst.Module, deep_replace(wrapper.module, old, new)).code
        if code in texts:
            continue
        texts.add(code)
        key = f"{scope}: {_difference(source, code)}"
        seen[key] += 1
        key = key if seen[key] == 1 else f"{key} #{seen[key]}"
        found.append(Mutant(key, code, lines, in_function))
    return found


def _difference(before: str, after: str) -> str:
    """The lines that differ, without their place: `old -> new`."""
    old, new = before.splitlines(), after.splitlines()
    while old and new and old[0] == new[0]:
        old, new = old[1:], new[1:]
    while old and new and old[-1] == new[-1]:
        old, new = old[:-1], new[:-1]
    return " -> ".join(" ".join(line.strip() for line in lines) for lines in (old, new))


class _Finder(cst.CSTVisitor):
    """Collects each change with the function that it is in and the lines of its statement."""

    METADATA_DEPENDENCIES = (PositionProvider,)

    def __init__(self) -> None:
        super().__init__()
        self.changes: list[tuple[Change, str, tuple[int, int], bool]] = []
        self._bodies = 0
        self._scope: list[str] = []
        self._lines: list[tuple[int, int]] = [(1, 1)]

    def on_visit(self, node: cst.CSTNode) -> bool:
        if isinstance(node, cst.Annotation | cst.Import | cst.ImportFrom | cst.Decorator):
            return False
        if isinstance(node, cst.Expr) and isinstance(node.value, cst.BaseString):
            return False  # A docstring.
        if _is_type_alias(node) and not self._scope:
            return False
        if isinstance(node, cst.ClassDef | cst.FunctionDef):
            self._scope.append(node.name.value)
        if isinstance(node, cst.BaseStatement):
            place = self.get_metadata(PositionProvider, node)
            self._lines.append((place.start.line, place.end.line))
        scope = ".".join(self._scope) or "module"
        place_of = scope, self._lines[-1], self._bodies > 0
        self.changes += [((node, new), *place_of) for new in _mistakes(node)]
        return True

    def visit_FunctionDef_body(self, _node: cst.FunctionDef) -> None:  # noqa: N802 - libcst's name
        self._bodies += 1

    def leave_FunctionDef_body(self, _node: cst.FunctionDef) -> None:  # noqa: N802 - libcst's name
        self._bodies -= 1

    def on_leave(self, original_node: cst.CSTNode) -> None:
        if isinstance(original_node, cst.ClassDef | cst.FunctionDef):
            self._scope.pop()
        if isinstance(original_node, cst.BaseStatement):
            self._lines.pop()


def _is_type_alias(node: cst.CSTNode) -> bool:
    """`Move = PlannedRequest | Pause`: a name in CapWords, as PEP 8 writes types."""
    if not m.matches(node, m.Assign(targets=[m.AssignTarget(m.Name())])):
        return False
    name = cst.ensure_type(cst.ensure_type(node, cst.Assign).targets[0].target, cst.Name).value
    return name[0].isupper() and not name.isupper()


def _mistakes(node: cst.CSTNode) -> Iterator[cst.CSTNode]:
    for kind, operator in OPERATORS:
        if isinstance(node, kind):
            yield from operator(node)


def _call(node: cst.Call) -> Iterable[cst.CSTNode]:
    """An argument gone or None, but not the byte order "big" gone, which is Python's default."""
    for new in operator_arg_removal(node):
        last = new.args[-1] if new.args else None
        if not (
            node.args[-1] is not last and m.matches(node.args[-1].value, BIG) and last in node.args
        ):
            yield new


def _string(node: cst.SimpleString) -> Iterable[cst.CSTNode]:
    """One wrong name is enough; sentences are left alone."""
    return [] if " " in node.value else list(operator_string(node))[:1]


def _left_out(node: cst.Expr | cst.Raise) -> Iterable[cst.CSTNode]:
    if not (isinstance(node, cst.Expr) and isinstance(node.value, cst.Yield | cst.Ellipsis)):
        yield cst.Pass()


def _nothing_returned(node: cst.Return) -> Iterable[cst.CSTNode]:
    if node.value is not None and not m.matches(node.value, m.Name("None")):
        yield node.with_changes(value=None)


def _turned_round(node: cst.If | cst.While | cst.CompIf) -> Iterable[cst.CSTNode]:
    condition = node.test.with_changes(lpar=[cst.LeftParen()], rpar=[cst.RightParen()])
    turned = cst.UnaryOperation(cst.Not(), condition)
    if isinstance(node, cst.CompIf):
        yield node.with_changes(test=turned)
    else:
        space = cst.SimpleWhitespace(" ")
        after = "whitespace_before_test" if isinstance(node, cst.If) else "whitespace_after_while"
        yield node.with_changes(test=turned, **{after: space})


def _one_operand(node: cst.BooleanOperation) -> Iterable[cst.CSTNode]:
    for operand in (node.left, node.right):
        yield operand.with_changes(lpar=[cst.LeftParen()], rpar=[cst.RightParen()])


OPERATORS: Sequence[Operator] = [
    *(
        entry
        for entry in mutation_operators
        if entry[1] not in (operator_string, operator_arg_removal)
    ),
    (cst.Call, _call),
    (cst.SimpleString, _string),
    (cst.Expr, _left_out),
    (cst.Raise, _left_out),
    (cst.Return, _nothing_returned),
    (cst.If, _turned_round),
    (cst.While, _turned_round),
    (cst.CompIf, _turned_round),
    (cst.BooleanOperation, _one_operand),
]
"""What is mutated, and into what."""
