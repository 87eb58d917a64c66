"""The commands on one artifact: run side by side, each only if a rule needs its result."""

from __future__ import annotations

import contextlib
from collections.abc import Collection
from concurrent.futures import Future, ThreadPoolExecutor

from pytest_vcp.mlflow_cli.context import CommandContext
from pytest_vcp.mlflow_cli.predict import PredictCommand, Predicted
from pytest_vcp.mlflow_cli.requests import ExampleClient, ServerAnswers
from pytest_vcp.mlflow_cli.serve import Server
from pytest_vcp.rules.outcomes import ToolError, Unverified
from pytest_vcp.util.progress import Progress

PREDICT_RULE = "VCP803"
CONCURRENT_RULE = "VCP805"
# Each of these is judged by the server's replies.
SERVER_RULES = ("VCP804", CONCURRENT_RULE, "VCP807")
COMMAND_RULES = frozenset({PREDICT_RULE, *SERVER_RULES})


class MlflowCommands:
    """Starts the commands that the rules `wanted` need, and runs each of them once.

    `side_by_side` is whether memory suffices for the model in both commands at once, and beside
    the processes that have it loaded already.
    """

    def __init__(
        self,
        context: CommandContext,
        wanted: Collection[str],
        progress: Progress,
        *,
        side_by_side: bool,
    ) -> None:
        self._context = context
        self._side_by_side = side_by_side
        self._wanted = frozenset(wanted)
        self._progress = progress
        self._predict: PredictCommand | None = None
        self._predicted: Predicted | None = None
        self._predicting: Future[Predicted] | None = None
        self._server: Server | None = None
        self._answers: ServerAnswers | None = None
        self._asking: Future[ServerAnswers] | None = None
        self._passes_before = 0
        self._threads = ThreadPoolExecutor(2, thread_name_prefix="vcp-command")

    def begin(self) -> None:
        """Run the commands in the background, if they can run beside other things.

        What goes wrong is raised when a result is asked for.
        """
        if not self._side_by_side:
            return
        if self._wanted & frozenset(SERVER_RULES):
            with contextlib.suppress(ToolError, OSError):
                self._begin_asking()
        if PREDICT_RULE in self._wanted:
            with contextlib.suppress(Unverified, ToolError, OSError):
                self._begin_predicting()

    def predicted(self) -> Predicted:
        """Return the result of `mlflow models predict`. Raises Unverified if it can't run here."""
        if self._predicted is None:
            self.begin()
            self._begin_predicting()
            assert self._predict is not None
            assert self._predicting is not None
            anew = ", which builds an environment" if self._predict.anew else ""
            with self._progress.step(f"running mlflow models predict{anew}"):
                self._predicted = self._predicting.result()
        return self._predicted

    def query_server(self) -> ServerAnswers:
        """Return the replies of `mlflow models serve`, up to its shutdown."""
        if self._answers is None:
            answers = self._finish_asking()
            if self._side_by_side and self._is_late(answers):
                # What runs beside it may be why: the rule is about a server that has the machine.
                answers = self._ask_alone()
            self._answers = answers
        return self._answers

    def describe_runs(self) -> list[dict[str, object]]:
        """Describe the commands that were run, for the report: seconds and type of environment."""
        found: list[dict[str, object]] = []
        if self._predicted is not None:
            how = "environment built by it" if self._predicted.anew else "packages from the cache"
            found.append(_entry(self._predicted.command, self._predicted.seconds, how))
        if self._answers is not None:
            found.append(
                _entry(self._answers.command, self._answers.seconds, "environment of the run")
            )
        return found

    @property
    def passes(self) -> int:
        """The forward passes of the commands."""
        predicted = self._predicted is not None and self._predicted.problem is None
        by_server = self._server.passes if self._server else 0
        return int(predicted) + by_server + self._passes_before

    def close(self) -> None:
        """End the commands that are still running."""
        with contextlib.ExitStack() as ends:
            ends.callback(self._threads.shutdown, cancel_futures=True)
            for command in (self._predict, self._server):
                if command is not None:
                    ends.callback(command.close)

    def _begin_predicting(self) -> None:
        if self._predicting is None:
            self._predict = PredictCommand(self._context)
            # Built here if it is missing: building has a progress of its own.
            self._context.platform()
            self._predicting = self._threads.submit(self._predict.finish)

    def _begin_asking(self) -> None:
        if self._asking is None:
            self._server = Server(self._context)
            self._server.start()
            self._asking = self._threads.submit(self._send_requests, self._server)

    def _finish_asking(self) -> ServerAnswers:
        with self._progress.step("asking mlflow models serve"):
            self._begin_asking()
            assert self._asking is not None
            return self._asking.result()

    def _ask_alone(self) -> ServerAnswers:
        if self._predicting is not None:
            # What it raises is for whoever asks for its result.
            self._predicting.exception()
        self._passes_before += self._server.passes if self._server else 0
        self._asking = self._server = None
        return self._finish_asking()

    def _is_late(self, answers: ServerAnswers) -> bool:
        first, most = answers.first, self._context.settings.policy.budget.answer_seconds
        return first is not None and first.predictions and first.seconds > most

    def _send_requests(self, server: Server) -> ServerAnswers:
        context = self._context
        client = ExampleClient(
            server,
            dict(context.request),
            context.settings.policy.input_column,
            context.scratch,
            context.small_request,
        )
        down = server.wait_until_up()
        if down is not None:
            return client.answers(
                command=server.shown,
                seconds=server.seconds,
                down=down,
                left=server.shut_down(),
            )
        first = client.send_example()
        concurrently = CONCURRENT_RULE in self._wanted
        bad = () if first.hung else client.bad(again=not concurrently)
        hangs = first.hung or any(request.answer.hung for request in bad)
        if concurrently and not hangs:
            client.send_concurrently()
        return client.answers(
            command=server.shown,
            first=first,
            bad=bad,
            left=server.shut_down(),
            seconds=server.seconds,
        )


def _entry(command: str, seconds: float, environment: str) -> dict[str, object]:
    return {"command": command, "seconds": round(seconds, 2), "environment": environment}
