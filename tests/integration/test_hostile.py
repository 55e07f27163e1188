"""Attacks that the shared server must stand: everything is answered, and nobody else notices.

`python -m stress hostile` has all of them, those that Triton 2.51 does not stand among them.
"""

from __future__ import annotations

from pathlib import Path

import psutil
import pytest
from tritonclient.utils import InferenceServerException

from ocrvl.launcher.server import TritonServer
from ocrvl.wire import Model, Tensor
from perf.harness.serve_process import Endpoints
from perf.harness.tensors import bytes_tensor
from stress.endurance.images import draw_files, read_undisturbed
from stress.hostile import connections, content, malformed
from stress.hostile.attack import Attack
from stress.hostile.attack_context import AttackContext
from stress.hostile.request_audit import read_again
from tests.support.raw import infer
from tests.support.streams import wait_for

_SHORT = ("binary tensors", "malformed protobuf", "unknown models", "options", "engine input", "other models", "resets")
ATTACKS = [attack for attack in (*malformed.ATTACKS, *content.ATTACKS, *connections.ATTACKS) if attack.name in _SHORT]
_WITHIN = 60.0


@pytest.fixture(scope="module")
def context(server: TritonServer) -> AttackContext:
    options = server.options
    endpoints = Endpoints(server.grpc_url, server.http_url, f"{options.host}:{options.metrics_port}")
    return AttackContext(endpoints, read_undisturbed(endpoints.grpc, draw_files(0, 1, 0))[0], Path(), list)


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: attack.name)
def test_an_attack_is_answered_and_a_good_image_is_read_after_it(
    server: TritonServer, context: AttackContext, attack: Attack
) -> None:
    before = processes(server)
    assert attack.faults(attack.run(context)) == []
    assert read_again(context.endpoints.grpc, context.image, _WITHIN).seconds is not None
    assert processes(server) >= before


def test_a_jpeg_that_takes_hours_is_refused(server: TritonServer) -> None:
    with pytest.raises(InferenceServerException, match="it is a JPEG of 20006 scans, at most 100 are decoded"):
        infer(server, "grpc", {Tensor.IMAGE: bytes_tensor(content.endless_jpeg(side=64))})


def test_a_pdf_that_takes_years_ends_with_its_request(server: TritonServer) -> None:
    bomb = {Tensor.FILE: bytes_tensor(content.laughing_pdf()), Tensor.OPTIONS: bytes_tensor(b'{"timeout_ms": 2000}')}
    with pytest.raises(InferenceServerException, match=r"\[CANCELLED\] timeout_ms has passed"):
        infer(server, "grpc", bomb, (Tensor.MARKDOWN,), Model.DOCUMENT)
    wait_for(lambda: psutil.STATUS_RUNNING not in [process.status() for process in drawing(server)])


def processes(server: TritonServer) -> set[psutil.Process]:
    """Triton and its models' processes: a killed one is not started again."""
    triton = psutil.Process(server.pid)
    return {triton, *(child for child in triton.children() if child.status() != psutil.STATUS_ZOMBIE)}


def drawing(server: TritonServer) -> list[psutil.Process]:
    """The processes that draw pages; those that wait for the next are asleep."""
    below = psutil.Process(server.pid).children(recursive=True)
    return [process for process in below if "ocrvl.models.document.pdfium" in process.cmdline()]
