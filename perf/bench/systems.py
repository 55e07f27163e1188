"""Systems that serve the same model, once they run: how requests reach them, and their processes."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from typing import Any, Final, Protocol

import aiohttp
import psutil
import tritonclient.grpc.aio as triton_grpc

from ocrvl.launcher.server import TritonServer
from ocrvl.wire import Model, Tensor
from perf.bench.workload import Size, SystemName
from perf.harness.loops import closed_loop, infer_stream
from perf.harness.serve_process import classify

ENGINE: Final = "EngineCore"
"""The process that computes; all others are a system's front end."""


class System(Protocol):
    """A system that is running."""

    name: SystemName

    def processes(self) -> list[tuple[str, psutil.Process]]:
        """Its processes and what they are; `EngineCore` is the one that computes."""

    async def read(self, size: Size, count: int, in_flight: int, first: int) -> list[tuple[float, int]]:
        """Read images from the `first` on, `in_flight` at a time: seconds and output tokens of each."""


class ServerSystem:
    """A system whose root process is a server."""

    def __init__(self, name: SystemName, root: psutil.Process) -> None:
        self.name = name
        self.root = root

    def processes(self) -> list[tuple[str, psutil.Process]]:
        """See `System`."""
        found = []
        for process in [self.root, *self.root.children(recursive=True)]:
            with contextlib.suppress(psutil.Error):
                found.append((classify(process.name(), process.cmdline())[1], process))
        return found

    async def read(self, size: Size, count: int, in_flight: int, first: int) -> list[tuple[float, int]]:
        """See `System`."""
        async with self._connect() as client:
            read = await closed_loop(
                lambda number: self._infer(client, size, first + number), in_flight, requests=count
            )
        return [(one.seconds, one.result) for one in read]

    def _connect(self) -> Any:
        raise NotImplementedError

    async def _infer(self, client: Any, size: Size, number: int) -> int:
        raise NotImplementedError


class TritonSystem(ServerSystem):
    """A Triton server; `url` is its gRPC endpoint."""

    def __init__(self, name: SystemName, server: TritonServer, inputs: Mapping[Size, Sequence[list[Any]]]) -> None:
        super().__init__(name, psutil.Process(server.pid))
        self.url = server.grpc_url
        self._inputs = inputs

    def _connect(self) -> Any:
        return triton_grpc.InferenceServerClient(self.url)

    async def _infer(self, client: Any, size: Size, number: int) -> int:
        inputs = self._inputs[size]
        answer = await client.infer(Model.OCR.value, inputs[number % len(inputs)])
        return int(answer.as_numpy(Tensor.NUM_OUTPUT_TOKENS.value).sum())


class DecoupledSystem(TritonSystem):
    """A Triton server whose engine's model is called itself, and answers on a stream."""

    async def _infer(self, client: Any, size: Size, number: int) -> int:
        inputs = self._inputs[size]

        async for answer in infer_stream(client, Model.ENGINE, inputs[number % len(inputs)]):
            tokens = int(answer.as_numpy("num_output_tokens")[0])
        return tokens


class HttpSystem(ServerSystem):
    """A server that takes an image in JSON, ready-made bodies of which are sent."""

    def __init__(
        self, name: SystemName, root: psutil.Process, url: str, bodies: Mapping[Size, Sequence[bytes]]
    ) -> None:
        super().__init__(name, root)
        self._url = url
        self._bodies = bodies

    def _connect(self) -> Any:
        return aiohttp.ClientSession(headers={"Content-Type": "application/json"})

    async def _infer(self, client: Any, size: Size, number: int) -> int:
        bodies = self._bodies[size]
        async with client.post(self._url, data=bodies[number % len(bodies)]) as response:
            answer = await response.json()
            if response.status != 200:
                raise RuntimeError(f"{self.name}: {response.status}: {answer}")
        usage = answer.get("usage")
        return int(usage["completion_tokens"] if usage else answer["num_output_tokens"])
