"""`ocrvl.launcher`: logs told in a few lines, ports and environments prepared."""

from __future__ import annotations

import os
import socket
import subprocess
import sysconfig
from pathlib import Path

import pytest

from ocrvl.launcher import locate, ports
from ocrvl.launcher.exposure import Endpoint
from ocrvl.launcher.limits import http_limit, http_limit_arguments
from ocrvl.launcher.locate import TritonInstallation, TritonNotFound, find_model_repository, find_triton
from ocrvl.launcher.log import LoadingLog, slow_start_hint
from ocrvl.launcher.ports import bind_to_free_port, find_free_port
from ocrvl.launcher.runtime import build_environment, keep_less_freed_memory, prepare_backends
from ocrvl.launcher.server import ServerFailed, ServerOptions, TritonServer, build_command

LOG = r"""
I1123 14:30:51.195792 5076 model_lifecycle.cc:472] "loading: preprocess:1"
I1123 14:30:51.195952 5076 model_lifecycle.cc:472] "loading: paddleocr_vl:1"
I1123 14:30:53.344251 5076 model_lifecycle.cc:839] "successfully loaded 'preprocess'"
"""

ENGINE_LOG = r"""
(EngineCore pid=4627) INFO 11-23 14:30:03 [utils.py:347] Using LBHNC KV cache layout.
(EngineCore pid=4627) ERROR 11-23 14:30:04 [core.py:1100] Traceback (most recent call last):
(EngineCore pid=4627) ERROR 11-23 14:30:04 [core.py:1100] ValueError: No available memory for the cache blocks.
(EngineCore pid=4627) ERROR 11-23 14:30:04 [core.py:1100] RuntimeError: Another, because of it.
E1123 14:28:24 4357 m.cc:6] "failed to load 'paddleocr_vl' version 1: RuntimeError: Engine core initialization failed."
E1123 14:28:24 4357 m.cc:6] "failed to load 'preprocess' version 1: Internal: ValueError: model.json: no 'model'"
error: creating server: Internal - failed to load all models
"""


def read(text: str) -> LoadingLog:
    log = LoadingLog()
    for line in text.strip().splitlines():
        log.add(line)
    return log


def test_the_log_says_what_is_waited_for() -> None:
    assert read(LOG).waiting_for == ["paddleocr_vl"]


def test_each_failed_model_has_one_line_with_its_root_cause() -> None:
    assert read(LOG + ENGINE_LOG).causes() == [
        "paddleocr_vl: ValueError: No available memory for the cache blocks.",
        "preprocess: ValueError: model.json: no 'model'",
    ]


def test_without_a_failed_model_the_server_s_own_error_is_printed() -> None:
    log = read(
        'E1123 14:28:24.34 77 grpc_server.cc:2558] "failed to start"\nerror: creating server: Internal - no port'
    )
    assert log.causes() == ["failed to start", "creating server: Internal - no port"]


def test_without_any_error_the_last_lines_are_printed() -> None:
    assert read("first\nsecond").causes() == ["first", "second"]


def engine_fails(cause: str) -> str:
    """The log of an engine that fails to start, as vLLM and Triton write it."""
    return (
        f"(EngineCore_DP0 pid=77) ERROR 11-23 14:30:04 [core.py:1100] {cause}\n"
        "E1123 14:30:05.1 57 model_lifecycle.cc:654] \"failed to load 'paddleocr_vl' version 1: Internal: "
        'RuntimeError: Engine core initialization failed. See root cause above."\n'
        "error: creating server: Internal - failed to load all models"
    )


@pytest.mark.parametrize(
    ("log", "words"),
    [
        (
            engine_fails(
                "torch.distributed.DistBackendError: NCCL error in: "
                "/pytorch/torch/csrc/distributed/c10d/NCCLUtils.cpp:94, unhandled system error (run with "
                "NCCL_DEBUG=INFO for details), NCCL version 2.28.9"
            ),
            ["NCCL_DEBUG=INFO", "NCCL_SOCKET_IFNAME", "/dev/shm"],
        ),
        (
            "(Worker_TP1 pid=81) ERROR 11-23 14:30:03 [multiproc_executor.py:772] ncclSystemError: System call failed.",
            ["NCCL_DEBUG=INFO"],
        ),
        (
            engine_fails(
                "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.32 GiB. GPU 0 has a total capacity of "
                "79.11 GiB of which 1.06 GiB is free."
            ),
            ["gpu_memory_utilization", "max_model_len"],
        ),
        (
            engine_fails(
                "ValueError: Free memory on device cuda:0 (3.2/79.11 GiB) on startup is less than desired GPU memory "
                "utilization (0.9, 71.2 GiB). Decrease GPU memory utilization or reduce GPU memory used by others."
            ),
            ["end what else uses the GPU"],
        ),
        (
            engine_fails("torch.AcceleratorError: CUDA error: invalid device ordinal"),
            ["CUDA_VISIBLE_DEVICES", "tensor_parallel_size"],
        ),
        (
            "E1123 18:13:20 main.cc:2] \"failed to start HTTP service: Unavailable - Socket '[::]:80' already in use\"",
            ["--http-port"],
        ),
        (
            engine_fails(
                "torch.distributed.DistNetworkError: The server socket has failed to listen on any local network "
                "address. port: 29500, useIpv6: false, code: -98, name: EADDRINUSE, message: address already in use"
            ),
            ["VLLM_PORT"],
        ),
    ],
)
def test_a_cause_that_does_not_say_what_to_change_gets_one_hint(log: str, words: list[str]) -> None:
    hints = [line for line in read(log + "\n" + log).causes() if line.startswith("hint: ")]
    assert len(hints) == 1
    assert all(word in hints[0] for word in words)


def test_a_cause_that_says_what_to_change_gets_no_hint() -> None:
    assert not any("hint" in line for line in read(LOG + ENGINE_LOG).causes())


def test_a_python_model_s_error_is_printed_without_its_traceback() -> None:
    line = (
        "E1123 17:41:47.1 77 model_lifecycle.cc:654] \"failed to load 'preprocess' version 1: Internal: ImportError: "
        r'no module x\n\nAt:\n  /r/preprocess/1/model.py(11): <module>\n  <frozen importlib._bootstrap>(241): _call\n"'
    )
    assert read(line).causes() == ["preprocess: ImportError: no module x"]


def test_a_slow_start_names_the_models_that_are_waited_for() -> None:
    assert "paddleocr_vl" in slow_start_hint(["paddleocr_vl"])


def command(models: tuple[str, ...] = (), extra_arguments: tuple[str, ...] = ()) -> list[str]:
    options = ServerOptions(Path(), models=models, extra_arguments=extra_arguments)
    return build_command(options, Path("tritonserver"), Path("backends"), "ocrvl-")


def test_trace_headers_are_forwarded() -> None:
    arguments = command()
    assert "--http-header-forward-pattern=(?i)^(traceparent|tracestate)$" in arguments
    assert "--grpc-header-forward-pattern=(?i)^(traceparent|tracestate)$" in arguments


def test_all_models_are_loaded_unless_some_are_named() -> None:
    assert not any("load-model" in argument for argument in command())
    arguments = command(models=("ocr", "preprocess"))
    assert arguments[-3:] == ["--model-control-mode=explicit", "--load-model=ocr", "--load-model=preprocess"]


def test_endpoints_that_change_the_server_are_closed_by_a_key_that_differs_each_time() -> None:
    first, second = ([word for word in command() if "restricted" in word] for _ in range(2))
    assert [word.partition(":")[0] for word in first] == [
        "--http-restricted-api=model-repository,shared-memory,trace,logging",
        "--grpc-restricted-protocol=model-repository,shared-memory,trace,logging",
    ]
    assert set(first).isdisjoint(second)


def test_shared_memory_is_opened_by_the_key_that_is_shared_and_nothing_else_is() -> None:
    options = ServerOptions(Path())
    words = build_command(options, Path("tritonserver"), Path("backends"), "ocrvl-", shared_memory_key="told")
    with_key = [word for word in words if "told" in word]
    assert with_key == [
        "--http-restricted-api=shared-memory:ocrvl-shared-memory=told",
        "--grpc-restricted-protocol=shared-memory:ocrvl-shared-memory=told",
    ]
    assert sum("restricted" in word for word in words) == 4


def test_nothing_is_restricted_where_everything_is_opened() -> None:
    options = ServerOptions(Path(), opened=tuple(Endpoint))
    assert not any(
        "restricted" in word for word in build_command(options, Path("tritonserver"), Path("backends"), "ocrvl-")
    )


def test_extra_arguments_come_last_so_that_they_win() -> None:
    assert command(extra_arguments=("--log-verbose", "1"))[-2:] == ["--log-verbose", "1"]


def test_bodies_over_http_may_be_as_large_as_the_models_take_them_in_base64(tmp_path: Path) -> None:
    megabyte = 1024 * 1024
    assert http_limit(tmp_path) is None
    for model, setting, size in (("preprocess", "max_request_bytes", 3), ("document", "max_file_bytes", 6)):
        (tmp_path / model).mkdir()
        parameter = f'{{ key: "{setting}" value: {{ string_value: "{size * megabyte}" }} }}'
        (tmp_path / model / "config.pbtxt").write_text(f"parameters [ {parameter} ]")
    assert http_limit(tmp_path) == 8 * megabyte + megabyte
    assert http_limit(tmp_path, ["ocr", "preprocess"]) == 4 * megabyte + megabyte
    (tmp_path / "document/config.pbtxt").write_text("parameters [")
    assert http_limit(tmp_path) is None


@pytest.mark.parametrize(("listed", "arguments"), [("--http-max-input-size <integer>", 1), ("--http-port", 0)])
def test_the_bound_is_set_only_where_triton_knows_it(tmp_path: Path, listed: str, arguments: int) -> None:
    triton = tmp_path / "tritonserver"
    triton.write_text(f"#!/bin/sh\necho '  {listed}' >&2\nexit 1\n")
    triton.chmod(0o755)
    found = http_limit_arguments(triton, {}, find_model_repository())
    assert found == [f"--http-max-input-size={http_limit(find_model_repository())}"][:arguments]


def test_a_taken_port_is_refused_with_the_option_that_changes_it() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(ServerFailed, match=f"port {port} on 127.0.0.1 cannot be used .* --grpc-port"):
            TritonServer(ServerOptions(Path(), grpc_port=port, http_port=0, metrics_port=0))


def test_free_ports_are_chosen_for_zero() -> None:
    server = TritonServer(ServerOptions(Path(), http_port=0, grpc_port=0, metrics_port=0))
    assert len({server.http_port, server.grpc_port, server.metrics_port}) == 3


def test_the_wheel_s_backend_gets_its_stub_beside_it(tmp_path: Path) -> None:
    triton = find_triton()
    folder = prepare_backends(triton, tmp_path / "backends")
    assert (folder / "python/triton_python_backend_stub").resolve().is_file()
    assert (folder / "python/libtriton_python.so").resolve().is_file()


def test_a_complete_installation_is_used_as_it_is(tmp_path: Path) -> None:
    container = TritonInstallation(tmp_path / "bin/tritonserver", tmp_path / "backends")
    assert prepare_backends(container, tmp_path / "unused") == tmp_path / "backends"


def test_the_environment_keeps_what_the_operator_set(tmp_path: Path) -> None:
    triton = TritonInstallation(tmp_path, tmp_path)
    environment = build_environment(triton, {"PYTHONPATH": "/mine", "PATH": "/bin", "OMP_NUM_THREADS": "3"})
    assert environment["PYTHONPATH"].endswith(":/mine")
    assert environment["PATH"].endswith(":/bin")
    assert environment["OMP_NUM_THREADS"] == "3"


@pytest.fixture
def stub(tmp_path: Path) -> Path:
    """A link to a program that prints its argument and what glibc is told."""
    program = tmp_path / "the program"
    program.write_text('#!/bin/sh\necho "$1 ${GLIBC_TUNABLES-nothing}"\n')
    program.chmod(0o755)
    link = tmp_path / "stub"
    link.symlink_to(program)
    return link


def test_triton_is_made_to_keep_less_freed_memory_and_its_models_are_not(stub: Path) -> None:
    environment = keep_less_freed_memory(stub, {"PATH": os.environ["PATH"]})
    assert "arena_max=1" in environment["GLIBC_TUNABLES"]
    assert subprocess.check_output([stub, "a b"], env=environment, text=True) == "a b nothing\n"


def test_what_the_operator_tells_glibc_is_for_all_processes(stub: Path) -> None:
    environment = keep_less_freed_memory(stub, {"GLIBC_TUNABLES": "glibc.malloc.perturb=1"})
    assert subprocess.check_output([stub, "a"], env=environment, text=True) == "a glibc.malloc.perturb=1\n"


def test_models_start_where_nothing_may_be_started_from_the_temporary_folder(
    monkeypatch: pytest.MonkeyPatch, stub: Path
) -> None:
    monkeypatch.setattr(os, "access", lambda *_: False)
    assert keep_less_freed_memory(stub, {"PATH": "/bin"}) == {"PATH": "/bin"}
    assert stub.is_symlink()


def test_a_machine_without_triton_is_refused_with_how_to_get_one(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(locate, "_CONTAINER", tmp_path)
    monkeypatch.setattr(locate, "find_spec", lambda name: None)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(TritonNotFound, match="pip install nvidia-pytriton"):
        find_triton()


def test_a_numpy_that_breaks_the_wheel_s_server_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(locate, "version", lambda name: "2.4.1")
    with pytest.raises(TritonNotFound, match=r"NumPy 2\.4\.1 is installed.* pip install 'numpy<2'"):
        find_triton()


def test_a_python_without_its_library_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(sysconfig, "get_config_var", lambda name: str(tmp_path))
    monkeypatch.setattr(locate, "find_library", lambda name: None)
    with pytest.raises(TritonNotFound, match=r"this Python has no shared library \(libpython3\.\d+\.so\.1\.0\)"):
        find_triton()


def test_a_server_on_the_path_is_found(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    binary = tmp_path / "bin/tritonserver"
    binary.parent.mkdir()
    binary.touch(mode=0o755)
    monkeypatch.setattr(locate, "_CONTAINER", tmp_path / "none")
    monkeypatch.setenv("PATH", str(binary.parent))
    assert find_triton() == TritonInstallation(binary, tmp_path / "backends")


def test_a_crash_while_loading_names_the_models_and_not_what_is_harmless() -> None:
    log = LoadingLog()
    for line in [
        'E1123 19:04:44.104 8048 server.cc:241] "CudaDriverHelper has not been initialized."',
        'I1123 19:04:44.105 8048 model_lifecycle.cc:472] "loading: paddleocr_vl:1"',
        'I1123 19:04:44.105 8048 model_lifecycle.cc:472] "loading: cancel:1"',
        "I1123 19:04:50.105 8048 model_lifecycle.cc:839] \"successfully loaded 'cancel'\"",
        "terminate called after throwing an instance of 'boost::interprocess::lock_exception'",
        "  what():  boost::interprocess::lock_exception",
    ]:
        log.add(line)
    cause, hint = log.causes()
    assert cause == "tritonserver crashed (boost::interprocess::lock_exception) while it was loading paddleocr_vl"
    assert hint.startswith("hint: overload")


@pytest.mark.parametrize(("line", "signal"), [("Signal (11) received.", 11), ("Signal (6) received.", 6)])
def test_a_crash_is_known_as_soon_as_triton_says_so(line: str, signal: int) -> None:
    assert (log := read(line)).crash is not None
    assert log.crash[0] == signal


@pytest.mark.parametrize(
    "line", ["Signal (15) received.", "Signal (2) received.", 'request id="Signal (11) received."']
)
def test_a_stop_and_a_caller_s_words_are_no_crash(line: str) -> None:
    assert read(line).crash is None


def test_a_server_that_says_that_it_crashes_has_a_while_to_end() -> None:
    now = 10.0
    log = LoadingLog(clock=lambda: now)
    assert log.crashed_before(3) is None
    log.add("Signal (11) received.")
    now = 12.9
    assert log.crashed_before(3) is None
    now = 13.0
    assert log.crashed_before(3) == 11


def test_the_log_says_which_models_took_longest_to_load() -> None:
    now = 0.0
    log = LoadingLog(clock=lambda: now)
    for model, begins in (("layout", 1.0), ("cancel", 1.0), ("ocr", 9.0)):
        now = begins
        log.add(f'I1123 m.cc:472] "loading: {model}:1"')
    for model, ends in (("cancel", 3.0), ("layout", 8.0), ("ocr", 9.5)):
        now = ends
        log.add(f"I1123 m.cc:839] \"successfully loaded '{model}'\"")
    assert log.slowest(2) == [("layout", 7.0), ("cancel", 2.0)]


def test_models_are_not_imported_once_more_to_complete_their_configuration() -> None:
    assert "--disable-auto-complete-config" in command()


def test_free_ports_are_three_different_ones() -> None:
    for _ in range(50):
        options = TritonServer(ServerOptions(Path(), http_port=0, grpc_port=0, metrics_port=0)).options
        assert len({options.http_port, options.grpc_port, options.metrics_port}) == 3


def test_a_free_port_is_none_that_a_connection_gets_while_the_server_starts() -> None:
    first, last = map(int, Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split())
    chosen = [find_free_port() for _ in range(50)]
    assert all(1024 <= port < first or port > last for port in chosen)
    assert len(set(chosen)) > 1


@pytest.mark.parametrize("given_out", ["1024 65535", "nonsense", None])
def test_where_the_kernel_gives_out_all_ports_any_free_one_is_taken(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, given_out: str | None
) -> None:
    file = tmp_path / "ip_local_port_range"
    if given_out:
        file.write_text(given_out)
    monkeypatch.setattr(ports, "_GIVEN_OUT", file)
    with socket.socket() as listener:
        assert listener.getsockname()[1] == 0
        assert bind_to_free_port(listener, "127.0.0.1") == listener.getsockname()[1] > 0


def test_a_taken_port_is_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as taken, socket.socket() as listener:
        port = bind_to_free_port(taken, "127.0.0.1")
        monkeypatch.setattr(ports, "_not_given_out", lambda: [port])
        assert bind_to_free_port(listener, "127.0.0.1") != port
