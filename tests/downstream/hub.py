"""A hub on this machine, for the platform's client to talk to: it takes whatever it is given."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import quote, unquote

_UPLOADS = "/uploads/"


class Hub(ThreadingHTTPServer):
    """What the client's commands ask for; `uploaded` are the files that came, by their paths.

    `submitted` are the bodies of what was submitted.
    """

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.uploaded: dict[str, bytes] = {}
        self.submitted: list[Any] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def answer(self, path: str, body: bytes) -> Any:
        """The answer to a POST; None where a hub has nothing of that name."""
        if path == "/api/metadata/validate":
            return {}
        if path == "/api/models/stage-contributions":
            names = [file["relative_path"] for file in json.loads(body)["files"]]
            return {"files": [self._place(name) for name in names]}
        if path == "/api/sub/submit":
            self.submitted.append(json.loads(body))
            return {}
        return None

    def _place(self, name: str) -> dict[str, str]:
        url = f"{self.url}{_UPLOADS}{quote(name)}"
        return {"relative_path": name, "presigned_url": url, "s3_key": name}


class _Handler(BaseHTTPRequestHandler):
    server: Hub

    def do_POST(self) -> None:
        told = self.server.answer(self.path, self._body())
        self._send(404 if told is None else 200, json.dumps(told).encode())

    def do_PUT(self) -> None:
        self.server.uploaded[unquote(self.path).removeprefix(_UPLOADS)] = self._body()
        self._send(200, b"")

    def log_message(self, *_: object) -> None:
        """Say nothing."""

    def _body(self) -> bytes:
        return self.rfile.read(int(self.headers["Content-Length"]))

    def _send(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


@contextmanager
def open_hub() -> Iterator[Hub]:
    """A hub that answers until the block ends."""
    with Hub() as hub:
        thread = threading.Thread(target=hub.serve_forever)
        thread.start()
        try:
            yield hub
        finally:
            hub.shutdown()
            thread.join()
