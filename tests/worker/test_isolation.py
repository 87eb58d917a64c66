"""What a model can and can't reach under each condition, by namespace and by audit hook alike."""

from __future__ import annotations

import ast
import json
import os
import socket
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from pytest_vcp.worker.client import Worker, WorkerFailure

from .conftest import MakeWorker, WriteModel


@pytest.fixture
def secrets(tmp_path: Path) -> Path:
    """A tree to hide: a secret, and a part that may be seen."""
    root = tmp_path / "secrets"
    (root / "shown" / "deep").mkdir(parents=True)
    (root / "secret.txt").write_text("secret")
    (root / "single.txt").write_text("single")
    (root / "hidden_module.py").write_text("")
    (root / "shown" / "deep" / "file.txt").write_text("shown")
    return root


@pytest.fixture
def server() -> Iterator[int]:
    """The port of a server outside the worker, on the loopback device."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield listening.getsockname()[1]


def errors_of(worker: Worker, write_model: WriteModel, **attempts: str) -> dict[str, str]:
    """Run each expression in the worker; the type of what it raises, or ""."""
    write_model(
        f"""
        import ctypes, json, os, pathlib, shutil, socket, sqlite3
        errors = {{}}
        for name, attempt in {attempts!r}.items():
            try:
                exec(attempt)
            except Exception as error:
                errors[name] = type(error).__name__
            else:
                errors[name] = ""
        raise ValueError(json.dumps(errors))
        """
    )
    with pytest.raises(WorkerFailure) as caught:
        worker.call("probe.import_module", {"name": "model"})
    errors: dict[str, str] = json.loads(caught.value.message)
    return errors


def refused(worker: Worker) -> set[str]:
    """The events that the audit hook has refused."""
    return {entry["event"] for entry in worker.call("probe.observed")["refused"]}


def test_the_caller_s_environment_does_not_reach_the_worker(
    make_worker: MakeWorker,
    write_model: WriteModel,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (tmp_path / "intruder.py").write_text("")
    for name in ("PYTHONPATH", "VIRTUAL_ENV", "CONDA_PREFIX", "MLFLOW_RUN_ID", "XDG_CACHE_HOME"):
        monkeypatch.setenv(name, str(tmp_path))
    monkeypatch.setenv("PYTHONHOME", "/nonexistent")
    monkeypatch.setenv("PWD", str(tmp_path))
    monkeypatch.setenv("SSL_CERT_FILE", "/kept")
    worker = make_worker(environ={"EXTRA": "1"})
    assert str(tmp_path) not in worker.hello()["sys_path"]
    with pytest.raises(WorkerFailure, match="No module named 'intruder'"):
        worker.call("probe.import_module", {"name": "intruder"})
    with pytest.raises(WorkerFailure, match="No module named 'pytest_vcp'"):
        worker.call("probe.import_module", {"name": "pytest_vcp.worker.server"})
    write_model("import os\nraise ValueError(repr(dict(os.environ)))\n")
    with pytest.raises(WorkerFailure) as caught:
        worker.call("probe.import_module", {"name": "model"})
    seen = ast.literal_eval(caught.value.message)
    assert seen["SSL_CERT_FILE"] == "/kept"
    assert seen["EXTRA"] == "1"
    assert seen["HOME"] == str(tmp_path / "home")
    assert seen["TMPDIR"] == str(tmp_path / "tmp")
    assert seen["PATH"].startswith(str(Path(sys.executable).parent) + os.pathsep)
    assert not {"PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV", "CONDA_PREFIX"} & set(seen)
    assert not {"MLFLOW_RUN_ID", "XDG_CACHE_HOME", "PWD"} & set(seen)
    assert not any(name.startswith("PYTEST_") for name in seen)


def test_the_path_is_the_given_directory_and_the_environment(
    worker: Worker, source: Path, tmp_path: Path
) -> None:
    hello = worker.hello()
    assert hello["sys_path"][0] == str(source)
    assert hello["cwd"] == str(tmp_path / "cwd")
    roots = tuple({os.path.realpath(root) for root in (sys.prefix, sys.base_prefix)})
    for entry in hello["sys_path"][1:]:
        assert os.path.realpath(entry).startswith(roots)


def test_no_bytecode_is_written(worker: Worker, write_model: WriteModel, source: Path) -> None:
    write_model("import other, subprocess, sys\nsubprocess.run([sys.executable, '-c', ''])\n")
    write_model("", "other.py")
    worker.call("probe.import_module", {"name": "model"})
    assert sorted(path.name for path in source.iterdir()) == ["model.py", "other.py"]


def test_network_off_is_off(
    strict_worker: MakeWorker, write_model: WriteModel, server: int
) -> None:
    worker = strict_worker(network="off")
    namespace = "namespace" in worker.hello()["conditions"]["network"]
    errors = errors_of(
        worker,
        write_model,
        remote="socket.create_connection(('192.0.2.1', 80), timeout=5)",
        datagram="socket.socket(type=socket.SOCK_DGRAM).sendto(b'', ('192.0.2.1', 53))",
        name="socket.getaddrinfo('example.org', 443)",
        outside=f"socket.create_connection(('127.0.0.1', {server}))",
        inside="s = socket.create_server(('127.0.0.1', 0));"
        "socket.create_connection(s.getsockname())",
    )
    assert errors == {
        "remote": "OSError",
        "datagram": "OSError",
        "name": "gaierror",
        # Only a namespace has a loopback device of its own.
        "outside": "ConnectionRefusedError" if namespace else "",
        "inside": "",
    }
    assert worker.call("probe.observed")["connections"] == [
        "192.0.2.1:53",
        "192.0.2.1:80",
        "example.org:443",
    ]


def test_nothing_is_written_below_a_read_only_root(
    strict_worker: MakeWorker, write_model: WriteModel, secrets: Path, tmp_path: Path
) -> None:
    (tmp_path / "elsewhere").mkdir()
    worker = strict_worker(read_only=(secrets,), hidden=(tmp_path / "elsewhere",))
    where, file = str(secrets), str(secrets / "secret.txt")
    errors = errors_of(
        worker,
        write_model,
        write=f"open({file!r}, 'w')",
        append=f"open({file!r}.encode(), 'ab')",
        create=f"pathlib.Path({where!r}, 'new').touch()",
        low=f"os.open({where!r} + '/x', os.O_CREAT | os.O_WRONLY)",
        mkdir=f"os.mkdir({where!r} + '/new')",
        relative=f"os.chdir({where!r}); open('new', 'w')",
        by_descriptor=f"os.mkdir('new', dir_fd=os.open({where!r}, os.O_RDONLY))",
        remove=f"os.remove({file!r})",
        tree=f"shutil.rmtree({where!r})",
        away=f"os.rename({file!r}, 'x')",
        here=f"open('y', 'w').close(); os.replace('y', {file!r})",
        truncate=f"os.truncate({file!r}, 0)",
        chmod=f"os.chmod({file!r}, 0)",
        utime=f"os.utime({file!r})",
        link=f"os.link('z', {where!r} + '/link')",
        symlink=f"os.symlink('z', {where!r} + '/link')",
        dots=f"open({where!r} + '/shown/../new', 'w')",
        read=f"assert open({file!r}).read() == 'secret'",
        listing=f"assert os.listdir({where!r})",
    )
    allowed = {"read", "listing"}
    assert {name for name, error in errors.items() if not error} == allowed
    assert {error for name, error in errors.items() if error} == {"PermissionError"}
    assert sorted(path.name for path in secrets.iterdir()) == [
        "hidden_module.py",
        "secret.txt",
        "shown",
        "single.txt",
    ]
    assert (secrets / "secret.txt").read_text() == "secret"
    assert "open" in refused(worker)


def test_nothing_is_written_outside_of_the_writable_directories(
    strict_worker: MakeWorker, write_model: WriteModel, secrets: Path, tmp_path: Path
) -> None:
    place, home = tmp_path / "cwd", tmp_path / "home"
    worker = strict_worker(writable=(place, secrets / "shown"), read_only=(home,))
    namespace = worker.hello()["conditions"]["writable"] == "mount namespace"
    where, file = str(secrets), str(secrets / "secret.txt")
    errors = errors_of(
        worker,
        write_model,
        write=f"open({file!r}, 'w')",
        create=f"pathlib.Path({where!r}, 'new').touch()",
        mkdir=f"os.mkdir({where!r} + '/new')",
        away=f"os.rename({file!r}, 'x')",
        remove=f"os.remove({file!r})",
        at_home="pathlib.Path.home().joinpath('.cache').mkdir()",
        system="open('/etc/vcp-test', 'w')",
        library=f"libc = ctypes.CDLL(None); libc.mkdir({(where + '/c').encode()!r}, 511) and 1 / 0",
        here="open('y', 'w').close(); os.mkdir('d'); os.rename('y', 'd/z')",
        shown=f"open({where!r} + '/shown/new', 'w').close()",
        there=f"os.makedirs({where!r}, exist_ok=True)",
        nowhere="open('/dev/null', 'w').write('x'); open(f'/proc/self/oom_score_adj', 'a').close()",
        memory="open('/dev/shm/vcp-test', 'w').close(); os.remove('/dev/shm/vcp-test')",
        read=f"assert open({file!r}).read() == 'secret'",
    )
    allowed = {"here", "shown", "there", "nowhere", "memory", "read"}
    # A C library that opens files by itself is beyond the audit hook's reach.
    assert {n for n, error in errors.items() if not error} - {"library"} == allowed
    assert errors.pop("library") == ("ZeroDivisionError" if namespace else "")
    assert {error for error in errors.values() if error} <= {"OSError", "PermissionError"}
    assert (secrets / "secret.txt").read_text() == "secret"
    assert worker.call("probe.observed")["outside"] == sorted(
        [
            *(str(secrets / name) for name in ("new", "secret.txt")),
            str(home / ".cache"),
            "/etc/vcp-test",
        ]
    )


def test_what_is_written_to_a_private_directory_no_other_process_sees(
    strict_worker: MakeWorker, write_model: WriteModel, tmp_path: Path
) -> None:
    shared, own = tmp_path / "shared", tmp_path / "shared" / "own"
    own.mkdir(parents=True)
    (shared / "there").write_text("as it was")
    writable = (shared, own, tmp_path / "cwd")
    first, second = (
        strict_worker(writable=writable, private=(shared,), public=(own,)) for _ in range(2)
    )
    private = first.hello()["conditions"]["private"]
    code = f"""
        import os, pathlib, subprocess
        where = pathlib.Path({str(shared)!r})
        assert (where / "there").read_text() == "as it was"
        (where / "there").write_text("altered")
        (where / "own" / "mine").write_text("")
        try:
            (where / "new").mkdir()
            subprocess.run(["touch", str(where / "new" / "of-a-child")], check=True)
        except OSError:
            pass
        names = sorted(os.listdir(where)), sorted(os.listdir(where / "new"))
        raise ValueError(f"{{names}}")
    """
    write_model(code)
    for worker in (first, second) if private else (first,):
        with pytest.raises(WorkerFailure) as caught:
            worker.call("probe.import_module", {"name": "model"})
        assert ast.literal_eval(caught.value.message) == (["new", "own", "there"], ["of-a-child"])
    assert (shared / "new").exists() == (not private)
    assert (shared / "there").read_text() == ("as it was" if private else "altered")
    assert (own / "mine").exists()


def test_the_pipes_of_a_shared_gpu_are_the_same_for_all(
    strict_worker: MakeWorker,
    write_model: WriteModel,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    shared = tmp_path / "shared"
    pipes = shared / "nvidia-mps"
    pipes.mkdir(parents=True)
    monkeypatch.setenv("CUDA_MPS_PIPE_DIRECTORY", str(pipes))
    worker = strict_worker(private=(shared,), writable=(shared,))
    write_model(f"open({str(pipes / 'control')!r}, 'w').close()")
    worker.call("probe.import_module", {"name": "model"})
    assert (pipes / "control").exists()


def test_where_all_is_writable_a_home_can_still_be_kept_from_it(
    strict_worker: MakeWorker, write_model: WriteModel, tmp_path: Path
) -> None:
    worker = strict_worker(read_only=(tmp_path / "home",))
    errors = errors_of(
        worker,
        write_model,
        at_home="pathlib.Path.home().joinpath('file').touch()",
        beside="pathlib.Path.home().parent.joinpath('file').touch()",
    )
    assert errors == {"at_home": "PermissionError", "beside": ""}


def test_what_was_asked_for_is_remembered(
    strict_worker: MakeWorker, write_model: WriteModel, tmp_path: Path
) -> None:
    worker = strict_worker(writable=(tmp_path / "cwd",))
    assert worker.call("probe.observed")["started"] == []
    child = "import subprocess; subprocess.run(['true', 'a', 'b']); subprocess.run('true')"
    errors_of(worker, write_model, child=child, fork="os.fork() or os._exit(0)")
    assert worker.call("probe.observed")["started"] == ["os.fork", "true", "true a"]


def test_a_hidden_tree_is_not_there_except_for_what_is_shown(
    strict_worker: MakeWorker, write_model: WriteModel, secrets: Path
) -> None:
    worker = strict_worker(hidden=(secrets,), visible=(secrets / "shown", secrets / "single.txt"))
    namespace = worker.hello()["conditions"]["hidden"] == "mount namespace"
    where, file = str(secrets), str(secrets / "secret.txt")
    errors = errors_of(
        worker,
        write_model,
        read=f"open({file!r})",
        low=f"os.open({file!r}, os.O_RDONLY)",
        bytes=f"open({file!r}.encode())",
        dots=f"open({where!r} + '/shown/../secret.txt')",
        database=f"sqlite3.connect({file!r})",
        module=f"import sys; sys.path.append({where!r}); import hidden_module",
        create=f"open({where!r} + '/new', 'w')",
        library=f"libc = ctypes.CDLL(None); libc.access({file!r}.encode(), 0) and 1 / 0",
        shown=f"assert open({where!r} + '/shown/deep/file.txt').read() == 'shown'",
        single=f"assert open({where!r} + '/single.txt').read() == 'single'",
        shown_listing=f"assert os.listdir({where!r} + '/shown') == ['deep']",
    )
    # A C library that opens files by itself is beyond the audit hook's reach.
    allowed = {"shown", "single", "shown_listing"} | (set() if namespace else {"library"})
    assert {name for name, error in errors.items() if not error} == allowed
    if namespace:
        assert errors["library"] == "ZeroDivisionError"
    assert errors["module"] == "ModuleNotFoundError"
    assert errors["read"] == errors["low"] == errors["dots"] == "FileNotFoundError"
    assert (secrets / "secret.txt").read_text() == "secret"


def test_a_tree_that_is_to_be_seen_as_a_whole_is_not_hidden(
    strict_worker: MakeWorker, write_model: WriteModel, secrets: Path
) -> None:
    worker = strict_worker(hidden=(secrets,), visible=(secrets, secrets / "shown"))
    open_files = {name: f"open({str(secrets / name)!r})" for name in ("secret.txt", "single.txt")}
    errors = errors_of(worker, write_model, **{n[:6]: text for n, text in open_files.items()})
    assert errors == {"secret": "", "single": ""}


def test_a_directory_above_makes_nothing_visible(
    strict_worker: MakeWorker, write_model: WriteModel, secrets: Path
) -> None:
    worker = strict_worker(hidden=(secrets,), visible=(Path("/"), secrets.parent))
    errors = errors_of(worker, write_model, secret=f"open({str(secrets / 'secret.txt')!r})")
    assert errors == {"secret": "FileNotFoundError"}


def test_links_from_one_hidden_tree_into_another_can_be_seen(
    strict_worker: MakeWorker, write_model: WriteModel, secrets: Path, tmp_path: Path
) -> None:
    others = tmp_path / "a" / "others"
    others.mkdir(parents=True)
    (others / "folder").symlink_to(secrets / "shown" / "deep")
    (others / "link.txt").symlink_to(Path("folder", "file.txt"))
    worker = strict_worker(hidden=(secrets, others), visible=(others / "link.txt",))
    errors = errors_of(
        worker,
        write_model,
        link=f"assert open({str(others / 'link.txt')!r}).read() == 'shown'",
        other=f"open({str(secrets / 'single.txt')!r})",
    )
    assert errors == {"link": "", "other": "FileNotFoundError"}


def test_what_the_worker_needs_stays_reachable_in_a_hidden_tree(
    strict_worker: MakeWorker, write_model: WriteModel, tmp_path: Path
) -> None:
    write_model("import os\nopen('written', 'w').close()\nprint(os.listdir('.'))\n")
    worker = strict_worker(hidden=(tmp_path, Path(sys.prefix)))
    worker.call("probe.import_module", {"name": "model"})
    assert (tmp_path / "cwd" / "written").exists()
    assert str(tmp_path / "cwd" / "written") in worker.call("probe.observed")["written"]


def test_no_mount_reaches_the_system(strict_worker: MakeWorker, secrets: Path) -> None:
    worker = strict_worker(hidden=(secrets,), read_only=(secrets / "shown",))
    worker.hello()
    if Path("/proc/self/mounts").exists():
        assert str(secrets) not in Path("/proc/self/mounts").read_text()
    assert (secrets / "secret.txt").read_text() == "secret"
    (secrets / "shown" / "new").write_text("")


def test_odd_arguments_are_left_to_python(
    strict_worker: MakeWorker, write_model: WriteModel, secrets: Path
) -> None:
    worker = strict_worker(hidden=(secrets,), read_only=(secrets,), network="off")
    errors = errors_of(
        worker,
        write_model,
        none="open(None)",
        null="open('a\\0b')",
        number="open(os.open('n', os.O_CREAT | os.O_WRONLY), 'w').close()",
        listing="os.listdir(); os.listdir(os.open('.', os.O_RDONLY)); list(os.scandir())",
        gone="os.mkdir('g'); os.chdir('g'); os.rmdir('../g'); open('x')",
        unix="a, b = socket.socketpair(); a.send(b'x')",
        address="socket.socket().connect(5)",
        nobody="socket.getaddrinfo(None, 80)",
    )
    assert errors == {
        "none": "TypeError",
        "null": "ValueError",
        "number": "",
        "listing": "",
        "gone": "FileNotFoundError",
        "unix": "",
        "address": "TypeError",
        "nobody": "",
    }
