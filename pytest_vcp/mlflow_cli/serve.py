"""`mlflow models serve` on the artifact: started, queried over HTTP, and shut down."""

from __future__ import annotations

import http
import http.client
import json
import math
import os
import re
import socket
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from pytest_vcp.mlflow_cli import at_start, process
from pytest_vcp.mlflow_cli.context import CommandContext
from pytest_vcp.mlflow_cli.process import Running
from pytest_vcp.rules.outcomes import Location

HOST = "127.0.0.1"
_POLL_SECONDS = 0.05
_PING_SECONDS = 5.0
_PORTS_TRIED = 3
_PORT_TAKEN = "ddress already in use"
# How long a server may take to finish its work on shutdown.
_SHUT_DOWN_SECONDS = 15.0
# Larger bodies, in bytes, are not held in this process: their files are for the worker to compare.
MOST_READ = 1_000_000
_CHUNK = 1 << 18
_PREDICTIONS = re.compile(rb'\s*\{\s*"predictions"\s*:')


@dataclass(frozen=True)
class Answer:
    """The reply to one request, in `seconds`.

    `status` is the HTTP status, None without a reply, for the reason in `problem`; `hung` is
    whether it timed out. `file` has the body of a reply with status 200 that was to be saved.
    `size` is that of the body in bytes, `beginning` its first part, at most MOST_READ bytes.
    `document` is a body of no more than that as strict JSON, None if it is not JSON.
    """

    status: int | None
    seconds: float
    file: Path | None = None
    size: int = 0
    beginning: bytes = b""
    document: Any = None
    problem: str | None = None
    hung: bool = False

    @property
    def is_json_error(self) -> bool:
        """Whether the reply is an error that clients can interpret: status 4xx, a JSON object."""
        client_error = self.status is not None and 400 <= self.status < 500
        return client_error and isinstance(self.document, Mapping)

    @property
    def predictions(self) -> bool:
        """Whether the reply contains predictions; of a large one, whether it begins with them."""
        if self.status != http.HTTPStatus.OK:
            return False
        if self.size > MOST_READ:
            return _PREDICTIONS.match(self.beginning) is not None
        return isinstance(self.document, Mapping) and "predictions" in self.document

    def format(self) -> str:
        """Format the reply in one line."""
        if self.status is None:
            return self.problem or "no answer"
        message = ""
        if isinstance(self.document, Mapping):
            trace = str(self.document.get("stack_trace", ""))
            message = process.find_exception(trace) or str(self.document.get("message", ""))
        elif self.document is None and self.size <= MOST_READ:
            message = f"a body that is no JSON: {self.beginning[:60].decode('utf-8', 'replace')!r}"
        return f"HTTP {self.status}" + (f", {message}" if message else "")


class Server:
    """The server: one process, as the command chooses by default, on a free local port.

    `passes` counts the requests that it predicted for.
    """

    def __init__(self, context: CommandContext) -> None:
        self._context = context
        self._running: Running | None = None
        self.shown = "mlflow models serve --env-manager local"
        self.port = 0
        self.passes = 0
        self._counting = threading.Lock()

    def start(self) -> None:
        """Start the command, once; the server is up when `ping` returns True."""
        if self._running is None:
            self._running = self._start_command()

    def _start_command(self) -> Running:
        self.port = free_port()
        arguments = ["--model-uri", str(self._context.artifact), "--env-manager", "local"]
        return Running(
            [
                *(self._context.mlflow, "models", "serve", *arguments),
                *("--host", HOST, "--port", str(self.port)),
                # Its default time-out is a minute, which is for VCP807 to judge.
                *("--timeout", str(math.ceil(self._context.settings.timeout))),
            ],
            self._context.directory,
            self._context.environ(
                at_start.write(self._context.scratch / "at-start-serve", self._context.artifact)
            ),
            self._context.log("serve"),
            self.shown,
            self._context.public,
        )

    @property
    def seconds(self) -> float:
        """Seconds since the server was started."""
        return time.monotonic() - self._running.started if self._running else 0.0

    def wait_until_up(self) -> str | None:
        """Wait until /ping replies; return why it does not, None if it does."""
        self.start()
        assert self._running is not None
        limit = self._context.settings.timeout
        for _ in range(_PORTS_TRIED):
            while self._running.exit_status() is None:
                if self.ping():
                    return None
                if self.seconds > limit:
                    return f"/ping did not answer within {limit:g} s"
                time.sleep(_POLL_SECONDS)
            if _PORT_TAKEN not in self._running.output:
                break
            # Another process took the port first: no fault of the package.
            self._running.close()
            self._running = self._start_command()
        output = self._running.output
        message = process.find_exception(output) or process.last_line(output)
        return f"it ended with exit status {self._running.exit_status()}: {message}"

    def ping(self) -> bool:
        """Return whether /ping replies with status 200."""
        return self._ask("GET", "/ping", None, "", _PING_SECONDS).status == 200

    def is_alive(self) -> bool:
        """Return whether /ping still replies: late from a busy server, never from an ended one."""
        begun = time.monotonic()
        while self._running is not None and self._running.exit_status() is None:
            if self.ping():
                return True
            if time.monotonic() - begun > self._context.settings.timeout:
                break
            time.sleep(_POLL_SECONDS)
        return False

    def invoke(
        self,
        body: bytes,
        file: Path | None = None,
        sent: Callable[[], object] = lambda: None,
    ) -> Answer:
        """Send a request to /invocations, and save the body of a reply with status 200 in `file`.

        Calls `sent` once the request is on its way, or can't be sent.
        """
        kind, limit = "application/json", self._context.settings.timeout
        answer = self._ask("POST", "/invocations", body, kind, limit, file, sent)
        if answer.status == http.HTTPStatus.OK:
            with self._counting:
                self.passes += 1
        return answer

    def where(self, answer: Answer | None = None) -> Location | None:
        """Return the line of the artifact's code where a request, or else the start, failed."""
        code = self._context.artifact / "code"
        if answer is not None and isinstance(answer.document, Mapping):
            return process.find_frame(str(answer.document.get("stack_trace", "")), code)
        return process.find_frame(self._running.output, code) if self._running else None

    def shut_down(self) -> tuple[str, ...]:
        """End the server as a supervisor does; return descriptions of what it leaves behind."""
        if self._running is None:
            return ()
        left = self._running.interrupt(_SHUT_DOWN_SECONDS)
        return (
            *left,
            *((f"port {self.port} is still taken",) if _is_port_taken(self.port) else ()),
        )

    def close(self) -> None:
        """End the server, whatever it is doing."""
        if self._running is not None:
            self._running.close()

    def _ask(
        self,
        method: str,
        path: str,
        body: bytes | None,
        content_type: str,
        seconds: float,
        file: Path | None = None,
        sent: Callable[[], object] = lambda: None,
    ) -> Answer:
        headers = {"Content-Type": content_type} if content_type else {}
        connection = http.client.HTTPConnection(HOST, self.port, timeout=seconds)
        begun = time.monotonic()
        try:
            try:
                connection.request(method, path, body, headers)
            finally:
                sent()
            response = connection.getresponse()
            file = file if response.status == http.HTTPStatus.OK else None
            size, beginning = _receive(response, file)
        except (OSError, http.client.HTTPException) as problem:
            took = time.monotonic() - begun
            if isinstance(problem, TimeoutError):
                return Answer(None, took, problem=f"no answer within {seconds:g} s", hung=True)
            why = f"no answer: {type(problem).__name__} after {took:.1f} s"
            return Answer(None, took, problem=why)
        finally:
            connection.close()
        took = time.monotonic() - begun
        hung = response.status == http.HTTPStatus.GATEWAY_TIMEOUT
        document = _strict_json(beginning) if size <= MOST_READ else None
        return Answer(response.status, took, file, size, beginning, document, hung=hung)


def _receive(response: http.client.HTTPResponse, file: Path | None) -> tuple[int, bytes]:
    """Receive a body, into a file if there is one; return its size, and its first part."""
    beginning, size = b"", 0
    with open(file or os.devnull, "wb") as saved:
        while chunk := response.read(_CHUNK):
            saved.write(chunk)
            size += len(chunk)
            beginning += chunk[: MOST_READ - len(beginning)]
    return size, beginning


def _strict_json(body: bytes) -> Any:
    def refuse(constant: str) -> NoReturn:
        raise ValueError(f"{constant} is not JSON")

    def finite(text: str) -> float:
        number = float(text)
        if not math.isfinite(number):
            raise ValueError(f"{text} is beyond JSON's readers")
        return number

    try:
        return json.loads(body, parse_constant=refuse, parse_float=finite)
    except (ValueError, RecursionError):
        return None


def free_port() -> int:
    """Return a local port where nothing listens."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
        return port


def _is_port_taken(port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(1.0)
        return probe.connect_ex((HOST, port)) == 0
