"""`ocrvl.serving`: logs told in a few lines, ports and environments prepared."""

from __future__ import annotations

import socket
import sysconfig
from pathlib import Path

import pytest

from ocrvl.serving import locate
from ocrvl.serving.locate import TritonInstallation, TritonNotFound, find_triton
from ocrvl.serving.log import LoadingLog
from ocrvl.serving.runtime import build_environment, prepare_backends
from ocrvl.serving.server import ServerFailed, ServerOptions, TritonServer

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


def test_without_a_failed_model_the_server_s_own_error_is_told() -> None:
    log = read(
        'E1123 14:28:24.34 77 grpc_server.cc:2558] "failed to start"\nerror: creating server: Internal - no port'
    )
    assert log.causes() == ["failed to start", "creating server: Internal - no port"]


def test_without_any_error_the_last_lines_are_told() -> None:
    assert read("first\nsecond").causes() == ["first", "second"]


def test_a_taken_port_is_refused_with_the_option_that_changes_it() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(ServerFailed, match=f"port {port} on 127.0.0.1 can not be used .* --grpc-port"):
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


def test_a_machine_without_triton_is_told_how_to_get_one(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(locate, "_CONTAINER", tmp_path)
    monkeypatch.setattr(locate, "find_spec", lambda name: None)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(TritonNotFound, match="pip install nvidia-pytriton"):
        find_triton()


def test_a_numpy_that_breaks_the_wheel_s_server_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(locate, "version", lambda name: "2.4.1")
    with pytest.raises(TritonNotFound, match=r"NumPy 2\.4\.1 is installed.* pip install 'numpy<2'"):
        find_triton()


def test_a_python_without_its_library_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
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
