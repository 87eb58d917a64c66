"""Models that crash, exit, hang and shout: one clear failure each, in time, and nothing left."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

import pytest

from pytest_vcp.rules.outcomes import ToolError
from pytest_vcp.worker.client import Conditions, Worker, WorkerFailure

from .conftest import MakeWorker, WriteModel


def failure_of(worker: Worker, timeout: float | None = None) -> WorkerFailure:
    """The failure of importing the model."""
    with pytest.raises(WorkerFailure) as caught:
        worker.call("probe.import_module", {"name": "model"}, timeout, doing="importing the model")
    return caught.value


def test_a_segmentation_fault_is_named_and_placed(worker: Worker, write_model: WriteModel) -> None:
    write_model("import ctypes\n\nctypes.string_at(0)\n")
    failure = failure_of(worker)
    assert failure.kind == "signal"
    assert "SIGSEGV (segmentation fault)" in failure.summary
    assert "while importing the model" in failure.summary
    assert str(failure.where) == "model.py:3"
    assert failure.remedy is not None
    assert "compiled code has crashed" in failure.remedy


def test_abort_is_named(worker: Worker, write_model: WriteModel) -> None:
    write_model("import os\nos.abort()\n")
    assert "SIGABRT" in failure_of(worker).summary


@pytest.mark.parametrize("status", [0, 7])
def test_os_exit_is_an_end_without_an_answer(
    worker: Worker, write_model: WriteModel, status: int
) -> None:
    write_model(f"import os\nprint('goodbye')\nos._exit({status})\n")
    failure = failure_of(worker)
    assert failure.kind == "exited"
    assert f"exit status {status} without an answer" in failure.summary
    assert failure.log_tail == "goodbye"
    assert failure.remedy is not None
    assert "no os._exit" in failure.remedy


@pytest.mark.parametrize(
    ("text", "remedy"),
    [
        ("import a_helper_beside_it\n", "move it into model_code"),
        ("import json.of_another_release\n", "the json that is installed has no such module"),
        ("import sys\nsys.exit(2)\n", "in place of sys.exit"),
        ("raise MemoryError\n", "hold less at a time"),
        ("raise OSError(12, 'Cannot allocate memory')\n", "where there is more memory"),
        ("raise RuntimeError('CUDA error: out of memory')\n", "a GPU with more memory"),
        ("raise RuntimeError('CUBLAS_STATUS_ALLOC_FAILED')\n", "a GPU with more memory"),
        ("raise RuntimeError('RESOURCE_EXHAUSTED: Out of memory')\n", "where there is more"),
        ("raise RuntimeError('INTERNAL: CUDA_ERROR_ILLEGAL_ADDRESS')\n", "CUDA_LAUNCH_BLOCKING=1"),
        ("raise RuntimeError('no kernel image is available')\n", "VCP907"),
        ("try:\n  {}['a']\nexcept KeyError:\n  raise MemoryError\n", "hold less at a time"),
        ("try:\n  raise MemoryError\nexcept MemoryError:\n  1 / 0\n", "hold less at a time"),
        ("import os\nprint('std::bad_alloc')\nos.abort()\n", "hold less at a time"),
        ("import os\nprint('CUDA error: unknown')\nos.abort()\n", "CUDA_LAUNCH_BLOCKING=1"),
    ],
)
def test_some_exceptions_have_one_remedy_everywhere(
    worker: Worker, write_model: WriteModel, text: str, remedy: str
) -> None:
    write_model(text)
    assert remedy in (failure_of(worker).remedy or "")


def test_what_another_exception_needs_is_for_the_rule_to_say(
    worker: Worker, write_model: WriteModel
) -> None:
    write_model("raise ValueError('nothing in particular')\n")
    assert failure_of(worker).remedy is None


def test_later_calls_tell_what_ended_the_worker(worker: Worker, write_model: WriteModel) -> None:
    write_model("import ctypes\nctypes.string_at(0)\n")
    first = worker.submit("probe.import_module", {"name": "model"})
    second = worker.submit("probe.ping")
    for call in (first, second, worker.submit("probe.ping")):
        with pytest.raises(WorkerFailure, match="SIGSEGV"):
            call.result()


@pytest.mark.parametrize(
    ("text", "summary"),
    [
        ("import sys\nsys.exit(3)\n", "sys.exit(3) was called"),
        ("import sys\nsys.exit('no licence')\n", "sys.exit('no licence') was called"),
        ("raise KeyboardInterrupt\n", "KeyboardInterrupt"),
        ("import signal\nsignal.raise_signal(signal.SIGINT)\n", "KeyboardInterrupt"),
        ("raise ValueError('first\\nsecond')\n", "ValueError: first"),
        ("def f(): f()\nf()\n", "RecursionError: maximum recursion depth exceeded"),
        ("class Odd(Exception):\n  def __str__(self): 1 / 0\nraise Odd\n", "model.Odd"),
    ],
)
def test_what_is_raised_is_told_and_the_worker_lives_on(
    worker: Worker, write_model: WriteModel, text: str, summary: str
) -> None:
    write_model(text)
    failure = failure_of(worker)
    assert failure.kind == "raised"
    assert failure.summary.startswith(summary)
    assert failure.where is not None
    assert failure.where.path == "model.py"
    assert worker.call("probe.ping", {"a": 1}) == {"a": 1}


def test_a_syntax_error_is_placed_in_the_file(worker: Worker, write_model: WriteModel) -> None:
    write_model("x = 1\ny = = 2\n")
    assert str(failure_of(worker).where) == "model.py:2"


def test_the_place_is_found_behind_a_wrapping_exception(
    worker: Worker, write_model: WriteModel
) -> None:
    write_model("import json\n\n\ndef hook(pairs):\n    raise KeyError('gene')\n", "inner.py")
    write_model("import inner, json\njson.loads('{}', object_pairs_hook=inner.hook)\n")
    assert str(failure_of(worker).where) == "inner.py:5"


def test_memory_that_runs_out_is_a_memory_error(worker: Worker, write_model: WriteModel) -> None:
    write_model(
        """
        import resource
        resource.setrlimit(resource.RLIMIT_AS, (1 << 30, resource.RLIM_INFINITY))
        x = bytearray(1 << 33)
        """
    )
    assert failure_of(worker).summary.startswith("MemoryError")


@pytest.mark.parametrize(
    "loop",
    [
        "while True: pass",
        "import time; time.sleep(600)",
        "import ctypes; ctypes.PyDLL(None).sleep(600)",
        "import threading; threading.Event().wait()",
        "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(600)",
    ],
    ids=["busy", "asleep", "asleep with the lock", "waiting", "deaf"],
)
def test_an_endless_loop_ends_at_the_time_out(
    worker: Worker, write_model: WriteModel, loop: str
) -> None:
    write_model(f"def spin():\n    {loop}\n\n\nspin()\n")
    worker.hello()
    started = time.monotonic()
    failure = failure_of(worker, timeout=0.5)
    assert time.monotonic() - started < 5
    assert failure.kind == "timeout"
    assert failure.summary == "no answer within 0.5 s while importing the model"
    assert str(failure.where) == "model.py:2"


def test_a_time_out_needs_nobody_who_waits(
    make_worker: MakeWorker, write_model: WriteModel
) -> None:
    write_model("while True: pass\n")
    worker = make_worker(timeout=0.5)
    call = worker.submit("probe.import_module", {"name": "model"})
    time.sleep(2)
    assert call.is_done()


def test_fifty_megabytes_of_output_do_not_hinder_the_answer(
    worker: Worker, write_model: WriteModel, tmp_path: Path
) -> None:
    write_model(
        """
        import sys
        print("the very first line")
        for number in range(500):
            sys.stdout.write("x" * 99_999 + "\\n")
        print("the very last line")
        """
    )
    worker.call("probe.import_module", {"name": "model"})
    write_model(
        "import model\nprint('the last words')\nraise ValueError('after all that')\n", "b.py"
    )
    with pytest.raises(WorkerFailure, match="after all that") as caught:
        worker.call("probe.import_module", {"name": "b"})
    worker.close()
    assert caught.value.log_tail.endswith("the very last line\nthe last words")
    log = (tmp_path / "logs" / "loader.log").read_text()
    assert log.startswith("the very first line")
    assert "bytes left out" in log
    assert len(log) < 2_000_000


def test_endless_output_ends_at_the_time_out(worker: Worker, write_model: WriteModel) -> None:
    write_model("while True: print('again and again')\n")
    failure = failure_of(worker, timeout=1)
    assert failure.kind == "timeout"
    assert "again and again" in failure.log_tail


def test_output_that_is_not_utf_8_is_shown_as_far_as_it_goes(
    worker: Worker, write_model: WriteModel, tmp_path: Path
) -> None:
    write_model(
        r"""
        import os, sys
        os.write(1, b"raw \xff\xfe bytes\n")
        sys.stdout.buffer.write(b"\xc3")
        print("\udcff surrogate \U0001f9ec")
        raise ValueError("\udcff")
        """
    )
    failure = failure_of(worker)
    worker.close()
    assert "raw \ufffd\ufffd bytes" in failure.log_tail
    assert "surrogate \U0001f9ec" in (tmp_path / "logs" / "loader.log").read_text("utf-8")
    assert failure.summary.encode("utf-8", "backslashreplace").startswith(b"ValueError: ")


@pytest.mark.parametrize(
    "text",
    [
        "import os\nos.closerange(0, 21)\n",
        "import sys\nsys.stdout = sys.stderr = None\n",
        "import sys\nsys.stdout = sys.stderr = 5\n",
        "import os\nos.close(1); os.close(2)\n",
        "import sys\nsys.setrecursionlimit(60)\n",
        "import sys\nsys.path[:] = []; sys.argv[:] = ['x', '--y']\n",
        "import signal\nfor n in (2, 10, 12, 15): signal.signal(n, signal.SIG_IGN)\n",
        "import os\nif os.fork() == 0: raise SystemExit(0)\nos.wait()\n",
        "import os\nif os.fork() == 0: raise ValueError\nos.wait()\n",
        "import threading as t\nt.Thread(target=t.Event().wait, daemon=True).start()\n",
    ],
    ids=[
        "descriptors 0 to 20 closed",
        "no streams",
        "streams of another kind",
        "output closed",
        "low recursion limit",
        "path emptied",
        "signals ignored",
        "a fork that exits",
        "a fork that raises",
        "daemon thread",
    ],
)
def test_what_a_model_does_to_its_process_breaks_nothing(
    worker: Worker, write_model: WriteModel, text: str
) -> None:
    write_model(text)
    worker.call("probe.import_module", {"name": "model"})
    assert worker.call("probe.ping", {"a": 1}) == {"a": 1}
    assert worker.close() == []


def test_closing_every_descriptor_is_an_end(worker: Worker, write_model: WriteModel) -> None:
    write_model("import os\nos.closerange(0, 1024)\n")
    assert failure_of(worker).kind in ("exited", "timeout")


def test_a_result_that_has_no_json_form_is_reported(worker: Worker) -> None:
    with pytest.raises(TypeError):
        worker.submit("probe.ping", {"a": object()})
    assert worker.call("probe.ping", {"a": 1}) == {"a": 1}


def test_a_crash_between_calls_is_told_at_the_next(worker: Worker, write_model: WriteModel) -> None:
    write_model(
        """
        import os, threading, time
        threading.Thread(target=lambda: (time.sleep(0.2), os.abort())).start()
        """
    )
    worker.call("probe.import_module", {"name": "model"})
    time.sleep(1)
    with pytest.raises(WorkerFailure, match="SIGABRT"):
        worker.call("probe.ping")


def test_an_interpreter_that_is_not_there_is_the_tool_s_fault(
    conditions: Conditions, tmp_path: Path
) -> None:
    worker = Worker(tmp_path / "nothing", "loader", conditions, 5, tmp_path / "log")
    before = set(os.listdir("/proc/self/fd")) if sys.platform == "linux" else set()
    with pytest.raises(ToolError, match="nothing"):
        worker.start()
    if sys.platform == "linux":
        assert len(os.listdir("/proc/self/fd")) == len(before)
    assert worker.close() == []
