"""A fact: worked out when first asked for, and the same answer ever after."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Generic, TypeVar, overload

from pytest_vcp.rules.outcomes import Blocked, ToolError, Unverified, Violation

T = TypeVar("T")

_ANSWERS = (Blocked, ToolError, Unverified, Violation)


class fact(Generic[T]):
    """A property that remembers its value, and also that there is none and why."""

    def __init__(self, work: Callable[[Any], T]) -> None:
        self._work = work
        self._name = work.__name__
        self.__doc__ = work.__doc__

    @overload
    def __get__(self, facts: None, owner: type) -> fact[T]: ...
    @overload
    def __get__(self, facts: object, owner: type) -> T: ...
    def __get__(self, facts: object | None, owner: type) -> T | fact[T]:
        if facts is None:
            return self
        answers: dict[str, tuple[Any, Exception | None]] = vars(facts).setdefault("_answers", {})
        if self._name not in answers:
            try:
                answers[self._name] = self._work(facts), None
            except _ANSWERS as answer:
                answers[self._name] = None, answer
        value, problem = answers[self._name]
        if problem is not None:
            raise problem.with_traceback(None)
        return value  # type: ignore[no-any-return]


def known(facts: object, name: str) -> Any:
    """A fact that was worked out already; None where nobody asked for it, or there is none."""
    value, _ = vars(facts).get("_answers", {}).get(name, (None, None))
    return value


def names_of_facts(owner: type) -> Iterator[str]:
    """Every public fact of a class, whether it has to be remembered or not."""
    for name in dir(owner):
        if not name.startswith("_") and isinstance(getattr(owner, name), (fact, property)):
            yield name
