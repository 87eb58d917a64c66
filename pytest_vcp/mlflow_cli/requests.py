"""Requests to the server, one after another and then at the same time.

Only the replies to the example are compared with the prediction. The replies to bad requests are
recorded: a server must refuse what is not a request at all, and survive the rest.
"""

from __future__ import annotations

import itertools
import json
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pytest_vcp.mlflow_cli.serve import Answer, Server
from pytest_vcp.rules.outcomes import Location
from pytest_vcp.source.payload import Payload, replace_inputs

# No more than MLflow's server has threads, which are four more than there are processors.
CONCURRENT = 6
# Answers that take longer are waited for in pairs only.
_LONG_SECONDS = 5.0
_ABSENT = "no-such-folder/no-such-input"


@dataclass(frozen=True)
class BadRequest:
    """A request that no model can answer, in a few words, and the reply to it.

    `must_refuse` is whether MLflow itself has to refuse it, `alive` whether the server replied to
    /ping afterwards.
    """

    what: str
    must_refuse: bool
    answer: Answer
    alive: bool


@dataclass(frozen=True)
class SavedAnswer:
    """A reply with predictions in a file, and when it was requested.

    `to_cut` is whether it answers the cut-down example, not the whole one.
    """

    when: str
    file: Path
    to_cut: bool = False


@dataclass(frozen=True)
class ServerAnswers:
    """The replies of the server, in `seconds` from its start to its end.

    `down` says why it did not come up. `first` is the reply to the first request. `answers` are
    the replies with predictions; `failed` is the first of these requests that got none, and
    `where` the line at fault. `left` describes the processes and ports that the server left behind.
    """

    command: str
    seconds: float
    down: str | None = None
    where: Location | None = None
    first: Answer | None = None
    failed: tuple[str, Answer] | None = None
    answers: tuple[SavedAnswer, ...] = ()
    bad: tuple[BadRequest, ...] = ()
    left: tuple[str, ...] = ()


class ExampleClient:
    """Sends requests to one server, and saves the predictions in files below `folder`.

    `small` returns the example with fewer observations, whose prediction is known, or None. It
    takes the place of the example after the first request.
    """

    def __init__(
        self,
        server: Server,
        request: Payload,
        column: str,
        folder: Path,
        small: Callable[[], Payload | None],
    ) -> None:
        self._server = server
        self._request = request
        self._column = column
        self._folder = folder
        self._small = small
        self._is_cut = False
        self._seconds = 0.0
        self._numbers = itertools.count()
        self._answers: list[SavedAnswer] = []
        self._failed: tuple[str, Answer] | None = None
        self._where: Location | None = None

    def send_example(self) -> Answer:
        """Send the example as the first request of all."""
        answer = self._ask_example()
        self._keep("the first request", answer)
        small = self._small()
        if small is not None:
            self._request, self._is_cut = small, True
        return answer

    def _ask_example(self, sent: Callable[[], object] = lambda: None) -> Answer:
        file = self._folder / f"answer-{next(self._numbers)}.json"
        answer = self._server.invoke(self._body(self._request), file, sent)
        self._seconds = answer.seconds
        return answer

    def bad(self, *, again: bool) -> tuple[BadRequest, ...]:
        """Send malformed requests and requests that the model can't answer.

        `again` is whether the example follows them; requests that are sent later do as well.
        """
        found = []
        for what, must_refuse, body in self._bad_bodies():
            answer = self._server.invoke(body)
            # A server that hangs would not reply to further requests, either.
            alive = not answer.hung and self._server.is_alive()
            found.append(BadRequest(what, must_refuse, answer, alive))
            if answer.predictions:
                self._seconds = answer.seconds
            if not alive:
                return tuple(found)
        if again:
            self._keep("after bad requests", self._ask_example())
        return tuple(found)

    def send_concurrently(self) -> None:
        """Send the example several times at once, half of them with other params if possible.

        Those are spread over the time that an answer takes: if a model stores a request on its
        wrapper, one of them comes between the start and the end of an example's, however busy the
        machine is.
        """
        other = next(self._other(), None)
        answer_seconds = self._seconds
        together = CONCURRENT if answer_seconds < _LONG_SECONDS else 2
        others = 0 if other is None else together // 2
        on_their_way = threading.Barrier(together)

        def send_other(number: int) -> None:
            on_their_way.wait()
            time.sleep(answer_seconds * number / others)
            self._server.invoke(self._body(other or {}))

        with ThreadPoolExecutor(together) as threads:
            for number in range(others):
                threads.submit(send_other, number)
            asked = [
                threads.submit(self._ask_example, on_their_way.wait)
                for _ in range(together - others)
            ]
        for number, answer in enumerate(asked, 1):
            self._keep(f"request {number} of {len(asked)} at once", answer.result())

    def answers(self, **more: Any) -> ServerAnswers:
        """Return all results."""
        where = self._where or (self._server.where() if more.get("down") else None)
        return ServerAnswers(failed=self._failed, where=where, answers=tuple(self._answers), **more)

    def _keep(self, when: str, answer: Answer) -> None:
        if answer.predictions and answer.file is not None:
            self._answers.append(SavedAnswer(when, answer.file, self._is_cut))
        elif self._failed is None:
            self._failed, self._where = (when, answer), self._server.where(answer)

    def _bad_bodies(self) -> Iterator[tuple[str, bool, bytes]]:
        yield "a body that is cut off", True, self._body(self._request)[:-2]
        yield "an empty body", True, b""
        nameless = {"dataframe_split": {"columns": ["no_such_column"], "data": [["x"]]}}
        yield "a column that the signature lacks", True, self._body(nameless)
        params = {**dict(self._request.get("params") or {}), "no_such_param": 1}
        yield (
            "a param that the signature lacks",
            False,
            self._body({**self._request, "params": params}),
        )
        yield (
            "a number for an input",
            False,
            self._body(replace_inputs(self._request, self._column, 5)),
        )
        absent = replace_inputs(self._request, self._column, _ABSENT)
        yield "an input that is not there", False, self._body(absent)

    def _other(self) -> Iterator[Payload]:
        """Yield a request like the example with other params; its reply does not matter."""
        params = self._request.get("params") or {}
        turned = {name: _reverse(value) for name, value in params.items()}
        if turned != params:
            yield {**self._request, "params": turned}

    def _body(self, request: Mapping[str, Any]) -> bytes:
        return json.dumps(request).encode()


def _reverse(value: object) -> object:
    if isinstance(value, bool):
        return not value
    return value + 1 if isinstance(value, (int, float)) else value
