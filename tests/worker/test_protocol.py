"""The messages survive being cut anywhere, and the worker answers in order."""

from __future__ import annotations

import pytest

from pytest_vcp.worker.client import Worker, WorkerFailure
from pytest_vcp.worker.server import protocol


def test_messages_survive_being_cut_into_single_bytes() -> None:
    messages = [{"id": 1, "text": "Zelle\u2028\U0001f9ec\x00"}, {"id": 2, "nested": [1.5, None]}]
    encoded = b"".join(protocol.encode(message) for message in messages)
    decoder = protocol.Decoder()
    received = [message for byte in encoded for message in decoder.feed(bytes([byte]))]
    assert received == messages


def test_several_messages_in_one_piece_come_out_in_order() -> None:
    encoded = b"".join(protocol.encode({"id": number}) for number in range(5))
    assert [message["id"] for message in protocol.Decoder().feed(encoded)] == list(range(5))


def test_calls_are_answered_in_the_order_of_submission(worker: Worker) -> None:
    calls = [worker.submit("probe.ping", {"number": number}) for number in range(50)]
    assert [call.result()["number"] for call in calls] == list(range(50))


def test_a_huge_request_and_a_huge_answer_arrive_whole(worker: Worker) -> None:
    text = "acgt" * 5_000_000
    assert worker.call("probe.ping", {"text": text})["text"] == text


def test_hello_tells_about_the_interpreter(worker: Worker) -> None:
    hello = worker.hello()
    assert hello["pid"] == worker.pid
    assert hello["conditions"] == {
        "network": "on",
        "hidden": "none",
        "read_only": "none",
        "writable": "all",
        "private": [],
        "user_namespace": False,
    }


def test_waiting_for_a_moment_leaves_the_call_running(worker: Worker) -> None:
    worker.hello()
    call = worker.submit("probe.preimport", {"names": ["asyncio", "unittest.mock"]})
    with pytest.raises(TimeoutError):
        call.result(timeout=0)
    assert call.result()["failed"] == {}
    assert call.is_done()
    assert call.seconds is not None


@pytest.mark.parametrize("method", ["probe.missing", "probe._x", "nothing.f", "probe", "probe.Any"])
def test_a_method_that_does_not_exist_is_refused(worker: Worker, method: str) -> None:
    with pytest.raises(WorkerFailure) as caught:
        worker.call(method)
    assert caught.value.kind == "raised"
    assert worker.call("probe.ping", {"still": "there"}) == {"still": "there"}


def test_preimport_reports_what_can_not_be_imported(worker: Worker) -> None:
    answer = worker.call("probe.preimport", {"names": ["json", "no_such_module"]})
    assert list(answer["failed"]) == ["no_such_module"]


def test_memory_is_measured(worker: Worker) -> None:
    worker.call("probe.ping")
    assert worker.peak_rss_bytes is not None
    assert 1 << 20 < worker.peak_rss_bytes < 1 << 30


def test_closing_twice_is_harmless_and_later_calls_are_told(worker: Worker) -> None:
    worker.hello()
    assert worker.close() == []
    assert worker.close() == []
    with pytest.raises(WorkerFailure, match="on request"):
        worker.call("probe.ping")
