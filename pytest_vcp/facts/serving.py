"""Facts about serving the artifact with MLflow and its commands."""

from __future__ import annotations

import math
import os

from pytest_vcp.evaluation.prediction import Reply
from pytest_vcp.facts.fact import fact
from pytest_vcp.facts.forward import ForwardFacts
from pytest_vcp.mlflow_cli.commands import COMMAND_RULES, MlflowCommands
from pytest_vcp.mlflow_cli.context import CommandContext
from pytest_vcp.mlflow_cli.predict import Predicted
from pytest_vcp.mlflow_cli.requests import SavedAnswer, ServerAnswers

# A command that turns more values into JSON takes so much memory that it runs by itself.
_MOST_VALUES = 1_000_000


class ServingFacts(ForwardFacts):
    """Facts about serving the artifact with MLflow and its commands."""

    @fact(when="_want_inference", stage="serving", after="first_pass")
    def serving(self) -> Reply:
        """The result of the serving example in MLflow's validate_serving_input."""
        return self.evaluated_session.validate()

    @fact(when="_want_inference", stage="serving", after="repeats")
    def printed(self) -> tuple[str, ...]:
        """The first lines on standard output during the repeated prediction."""
        again, _ = self.repeats
        return tuple(again.content["printed"]) if again.content else ()

    @fact(when="_want_inference", stage="serving", after="repeats")
    def pickled(self) -> Reply:
        """The result of pickling the object as load_context has left it."""
        doing = "pickling what was loaded"
        return self.evaluated_session.vary("platform_packager.pickled", doing)

    @fact(when="_want_inference", stage="serving", after="first_pass")
    def json(self) -> Reply:
        """The result of converting the prediction to MLflow's JSON and back."""
        return self.evaluated_session.as_json()

    @fact(after=("_cut", "json"), holds="VCP802")
    def commands(self) -> MlflowCommands:
        """MLflow's own commands on the artifact, as far as the rules of this run need them."""
        # Output that can't be converted to JSON here can't be by a command, either.
        return self._commands

    def _begin_commands(self) -> None:
        """Run the commands in the background, if they will be wanted as far as is known."""
        as_json = self.evaluated_session.as_json().content
        if self._run.selected & COMMAND_RULES and as_json and as_json["problem"] is None:
            self._commands.begin()

    @fact
    def _commands(self) -> MlflowCommands:
        session = self.evaluated_session
        assert self._run.interpreter is not None
        context = CommandContext(
            settings=session.settings,
            environment=self.environment,
            platform=self._run.platform,
            interpreter=self._run.interpreter.executable,
            artifact=session.artifact,
            request=session.payload,
            scratch=session.scratch / "commands",
            small_request=session.small_request.result,
        )
        peak = session.figures().peak_rss_bytes
        commands = MlflowCommands(
            context,
            self._run.selected,
            self._run.progress,
            side_by_side=not (session.devices.has_gpu() or session.loads_alone)
            and _fits_twice(peak)
            and self._count_values() <= _MOST_VALUES,
        )
        return session.own_commands(commands)

    def _count_values(self) -> int:
        """Return the number of values in the output."""
        return sum(math.prod(output.shape) for output in self.prediction.outputs.values())

    @fact
    def predicted(self) -> Predicted:
        """The result of mlflow models predict, in an environment that it builds itself."""
        return self.commands.predicted()

    @fact
    def predicted_difference(self) -> Reply:
        """The comparison of the output of mlflow models predict with the prediction."""
        predicted = self.predicted
        if predicted.problem is not None:
            return Reply(None)
        return self.evaluated_session.compare_answers(
            "the command", [SavedAnswer("", predicted.answer)]
        )

    @fact
    def server_answers(self) -> ServerAnswers:
        """The replies of mlflow models serve, from its start to its end."""
        return self.commands.query_server()

    @fact
    def server_difference(self) -> Reply:
        """The comparison of the server's replies with the prediction."""
        return self.evaluated_session.compare_answers("the server", self.server_answers.answers)


def _fits_twice(peak: float | None) -> bool:
    """Return whether two more processes of `peak` bytes fit into free memory."""
    names = ("SC_AVPHYS_PAGES", "SC_PAGE_SIZE")
    if peak is None or not all(name in os.sysconf_names for name in names):
        return False
    pages, size = (os.sysconf(name) for name in names)
    return 2 * peak < pages * size
