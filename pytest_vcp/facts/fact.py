"""A fact: computed when first requested, and remembered from then on.

Its preconditions are declared rather than coded, and are checked in the order of declaration::

    @fact(after="prediction", stage="device", holds=("VCP710",))
    def comparison(self) -> Reply: ...

- `when` calls these methods, which raise if the fact does not exist in this run;
- `after` computes these facts, and raises the reason again if one of them has no value;
- `stage` enters a stage: every required rule of an earlier stage has to hold;
- `requires` are rules that have to hold, waived or not;
- `holds` are rules that have to hold if they are required and not waived.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Generic, TypeVar, overload

from pytest_vcp.rules.outcomes import Blocked, ToolError, Unverified, Violation
from pytest_vcp.rules.registry import BY_ID, STAGES

T = TypeVar("T")
Names = str | tuple[str, ...]

_ANSWERS = (Blocked, ToolError, Unverified, Violation)
_CONDITIONS = ("when", "after", "stage", "requires", "holds")


class Fact(Generic[T]):
    """A property that remembers its value, or the reason why it has none.

    `conditions` maps each kind of precondition to its names, in order.
    """

    def __init__(self, work: Callable[[Any], T], conditions: dict[str, tuple[str, ...]]) -> None:
        self.work = work
        self.conditions = conditions
        self._name = work.__name__
        self.__doc__ = work.__doc__

    @overload
    def __get__(self, facts: None, owner: type) -> Fact[T]: ...
    @overload
    def __get__(self, facts: object, owner: type) -> T: ...
    def __get__(self, facts: object | None, owner: type) -> T | Fact[T]:
        if facts is None:
            return self
        answers: dict[str, tuple[Any, Exception | None]] = vars(facts).setdefault("_answers", {})
        if self._name not in answers:
            try:
                self._meet_conditions(facts)
                answers[self._name] = self.work(facts), None
            except _ANSWERS as answer:
                answers[self._name] = None, answer
        value, problem = answers[self._name]
        if problem is not None:
            raise problem.with_traceback(None)
        return value  # type: ignore[no-any-return]

    def _meet_conditions(self, facts: Any) -> None:
        """Raise the reason if a precondition of the fact is not met."""
        for kind, names in self.conditions.items():
            if kind == "when":
                for name in names:
                    getattr(facts, name)()
            elif kind == "after":
                for name in names:
                    getattr(facts, name)
            elif kind == "stage":
                facts._gates.enter(facts, names[0])
            elif kind == "requires":
                facts._gates.require(facts, *names)
            else:
                facts._gates.hold(facts, *names)


@overload
def fact(work: Callable[[Any], T], /) -> Fact[T]: ...
@overload
def fact(**conditions: Names) -> Callable[[Callable[[Any], T]], Fact[T]]: ...
def fact(
    work: Callable[[Any], T] | None = None, /, **conditions: Names
) -> Fact[T] | Callable[[Callable[[Any], T]], Fact[T]]:
    """Turn a method into a fact. Raises ValueError for an unknown condition, stage or rule."""
    if work is not None:
        return Fact(work, {})
    named = {
        kind: (names,) if isinstance(names, str) else names for kind, names in conditions.items()
    }
    rules = (*named.get("requires", ()), *named.get("holds", ()))
    unknown = (
        *(kind for kind in named if kind not in _CONDITIONS),
        *(stage for stage in named.get("stage", ()) if stage not in STAGES),
        *(rule for rule in rules if rule not in BY_ID),
    )
    if unknown:
        raise ValueError(f"there is no condition, stage or rule {unknown[0]!r}")
    return lambda work: Fact(work, named)


def known_fact(facts: object, name: str) -> Any:
    """Return a fact that was already computed; None if it was not, or if it has no value."""
    value, _ = vars(facts).get("_answers", {}).get(name, (None, None))
    return value


def names_of_facts(owner: type) -> Iterator[str]:
    """Yield the names of the public facts of a class, plain properties included."""
    for name in dir(owner):
        if not name.startswith("_") and isinstance(getattr(owner, name), (Fact, property)):
            yield name
