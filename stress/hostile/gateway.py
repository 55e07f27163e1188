"""The gateway under attack: keys, addresses, slots, memory. Each attack has one of its own, with a good caller."""

from __future__ import annotations

import base64
import http.client
import io
import json
import os
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np
import psutil
from PIL import Image

from stress.hostile.attack import Attack
from stress.hostile.attack_context import ANSWER_SECONDS, CLOSED, NO_ANSWER, AttackContext

_KEY: Final = "a-key-of-the-good-callers"
_KEYED: Final = {"Authorization": f"Bearer {_KEY}"}
_JSON: Final = {"Content-Type": "application/json"}
_START_SECONDS: Final = 120.0
_SLOTS: Final = 64
_SILENT: Final = 300
_HOLD_SECONDS: Final = 15.0
_DOCUMENTS: Final = 8
_PAGES: Final = 3
_READ_SECONDS: Final = 60.0
_BOMB_BYTES: Final = 24_000_000
_HEADER_BYTES: Final = 100_000_000
_CHAT: Final = "/v1/chat/completions"
_PATHS: Final = (_CHAT, "/v1/models", "/layout-parsing", "/restructure-pages", "/receipts", "/api/document")
_ENDS: Final = ("", "/", "%0A", "%0D%0A", "%00", "%20", ";x", "?x", "%2F", "/.", "%0a%0a", "%3F")


@dataclass
class _Gateway:
    """One that runs, and what good callers have had of it; `counts` also has its worst moments."""

    port: int
    process: psutil.Process
    counts: Counter[str] = field(default_factory=Counter)

    def status_of(self, method: str, path: str, body: bytes | None = None, headers: Mapping[str, str] = _JSON) -> str:
        """The status of an answer, or how there was none."""
        return self.answer(method, path, body, headers)[0]

    def answer(self, method: str, path: str, body: bytes | None, headers: Mapping[str, str]) -> tuple[str, bytes]:
        """The status and the body of an answer."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=4 * ANSWER_SECONDS)
        try:
            connection.request(method, path, body, dict(headers))
            response = connection.getresponse()
            return str(response.status), response.read()
        except TimeoutError:
            return NO_ANSWER, b""
        except (OSError, http.client.HTTPException):
            return CLOSED, b""
        finally:
            connection.close()

    def connect(self) -> socket.socket:
        """A connection of its own."""
        return socket.create_connection(("127.0.0.1", self.port), timeout=ANSWER_SECONDS)

    def memory(self) -> int:
        """MiB of its process."""
        return int(self.process.memory_info().rss) // 2**20


@contextmanager
def _running(context: AttackContext) -> Iterator[_Gateway]:
    """A gateway with a key in front of the server, which a good caller reads through and a watcher looks at."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [str(Path(sys.executable).parent / "ocrvl"), "gateway"]
    limits = ["--max-in-flight", str(_SLOTS), "--receive-timeout", "10", "--send-timeout", "5"]
    with (context.folder / "gateway.out").open("ab") as printed:
        process = subprocess.Popen(
            [*command, "--server", context.endpoints.grpc, "--port", str(port), *limits],
            stdin=subprocess.DEVNULL,
            stdout=printed,
            stderr=printed,
            env={**os.environ, "OCRVL_GATEWAY_API_KEYS": _KEY},
        )
    gateway = _Gateway(port, psutil.Process(process.pid))
    stop = threading.Event()
    watchers = [threading.Thread(target=task, args=(gateway, context, stop)) for task in (_read_on, _look_on)]
    try:
        _wait_until_ready(gateway)
        for thread in watchers:
            thread.start()
        yield gateway
        stop.wait(1)
    finally:
        stop.set()
        for thread in watchers:
            if thread.ident:
                thread.join()
        process.terminate()
        process.wait()


def _wait_until_ready(gateway: _Gateway) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while gateway.status_of("GET", "/readyz") != "200":
        if time.monotonic() > deadline:
            raise RuntimeError("the gateway does not start")
        time.sleep(0.2)


def _read_on(gateway: _Gateway, context: AttackContext, stop: threading.Event) -> None:
    """A good caller: reads the image again and again."""
    url = "data:image/png;base64," + base64.b64encode(context.image.data).decode()
    content = [{"type": "image_url", "image_url": {"url": url}}, {"type": "text", "text": "OCR:"}]
    body = {"model": "PaddleOCR-VL-1.6-0.9B", "messages": [{"role": "user", "content": content}]}
    while not stop.is_set():
        status, answer = gateway.answer("POST", _CHAT, json.dumps(body).encode(), {**_JSON, **_KEYED})
        if status == "200":
            text = json.loads(answer)["choices"][0]["message"]["content"]
            status = "right" if text.strip() == context.image.text.strip() else "wrong"
        gateway.counts[f"good request: {status}"] += 1
        stop.wait(0.1)


def _look_on(gateway: _Gateway, _context: AttackContext, stop: threading.Event) -> None:
    """How much memory it takes at most, beyond what it began with, and how long `/healthz` takes at most."""
    before = gateway.memory()
    while not stop.wait(0.05):
        began = time.monotonic()
        if (status := gateway.status_of("GET", "/healthz")) != "200":
            gateway.counts[f"health: {status}"] += 1
        milliseconds = int((time.monotonic() - began) * 1000)
        for name, figure in (
            ("MiB of memory more at most", gateway.memory() - before),
            ("ms for /healthz at most", milliseconds),
        ):
            gateway.counts[name] = max(gateway.counts[name], figure)


def _on_gateway(run: Callable[[_Gateway, AttackContext], Counter[str]]) -> Callable[[AttackContext], Counter[str]]:
    def attack(context: AttackContext) -> Counter[str]:
        with _running(context) as gateway:
            came_back = run(gateway, context)
        return came_back + gateway.counts

    return attack


def _keys(gateway: _Gateway, context: AttackContext) -> Counter[str]:
    """Every spelling of every path without a key."""
    counts: Counter[str] = Counter()
    for path in _PATHS:
        for spelling in (
            *(path + end for end in _ENDS),
            "/" + path,
            path.upper(),
            "/healthz/.." + path,
            "/static/.." + path,
        ):
            for method, body in (("POST", context.image.data), ("GET", None)):
                counts[gateway.status_of(method, spelling, body)] += 1
    return counts


def _addresses(gateway: _Gateway, _context: AttackContext) -> Counter[str]:
    """Addresses of a listener here, wherever one may stand; what connects to it is counted."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.setblocking(False)
        url = f"http://127.0.0.1:{listener.getsockname()[1]}/a.png"
        block = {"block_label": "image", "block_content": url, "block_bbox": [1, 2, 30, 40], "block_id": 0}
        settings = {"use_layout_detection": True, "use_doc_preprocessor": False}
        pruned = {"width": 99, "height": 99, "model_settings": settings, "parsing_res_list": [block]}
        pages = [
            {
                "prunedResult": {**pruned, "layout_det_res": {}},
                "markdownImages": {"imgs/img_in_image_box_1_2_30_40.jpg": url},
            }
        ]
        part = {"type": "image_url", "image_url": {"url": url}}
        chat = {"model": "PaddleOCR-VL-1.6-0.9B", "messages": [{"role": "user", "content": [part]}]}
        bodies: list[tuple[str, dict[str, Any]]] = [
            ("/restructure-pages", {"pages": pages, "outputFormats": ["docx"]}),
            ("/layout-parsing", {"file": url}),
            ("/receipts", {"image": url}),
            (_CHAT, chat),
        ]
        counts = Counter(
            gateway.status_of("POST", path, json.dumps(body).encode(), {**_JSON, **_KEYED}) for path, body in bodies
        )
        with suppress(BlockingIOError):
            while listener.accept():
                counts["fetched"] += 1
    return counts


def _silent(gateway: _Gateway, _context: AttackContext) -> Counter[str]:
    """Bodies that never come: more than there are slots."""
    return _hold(gateway, [_head(10) + b"half"] * _SILENT, _HOLD_SECONDS)


def _unread(gateway: _Gateway, _context: AttackContext) -> Counter[str]:
    """Documents whose pages nobody reads: noise, which makes large answers."""
    noise = np.random.default_rng(0).integers(0, 255, (_PAGES, 1200, 1200, 3), np.uint8)
    first, *others = map(Image.fromarray, noise)
    file = io.BytesIO()
    first.save(file, "TIFF", save_all=True, append_images=others)
    data = file.getvalue()
    return _hold(gateway, [_head(len(data)) + data] * _DOCUMENTS, _READ_SECONDS)


def _head(length: int) -> bytes:
    lines = (
        "POST /api/document HTTP/1.1",
        "Host: a",
        f"Authorization: Bearer {_KEY}",
        f"Content-Length: {length}",
        "",
        "",
    )
    return "\r\n".join(lines).encode()


def _hold(gateway: _Gateway, requests: list[bytes], seconds: float) -> Counter[str]:
    with ExitStack() as open_ones:
        for request in requests:
            connection = socket.socket()
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
            open_ones.enter_context(connection)
            connection.connect(("127.0.0.1", gateway.port))
            connection.sendall(request)
        time.sleep(seconds)
    time.sleep(1)
    gauge = gateway.answer("GET", "/metrics", None, {})[1].decode()
    held = [line for line in gauge.splitlines() if line.startswith("http_requests_in_progress ")]
    # the good caller has one at most
    is_free = bool(held) and float(held[0].split()[1]) <= 1
    return Counter({"held open": len(requests), "slots are free" if is_free else "slots are held": 1})


def _bombs(gateway: _Gateway, _context: AttackContext) -> Counter[str]:
    """JSON of very many small values."""
    counts: Counter[str] = Counter()
    for path, begin, value, end in (
        (_CHAT, b'{"model": "x", "messages": [', b"[],", b"[]]}"),
        (_CHAT, b"{", b'"k": 0,', b'"a": 0}'),
        ("/layout-parsing", b'{"file": "a", "layoutThreshold": {', b'"1": 0,', b'"1": 0}}'),
        ("/restructure-pages", b'{"pages": [', b"{},", b"{}]}"),
        ("/restructure-pages", b"", b"[", b""),
    ):
        body = begin + value * (_BOMB_BYTES // len(value)) + end
        counts[gateway.status_of("POST", path, body, {**_JSON, **_KEYED})] += 1
    return counts


def _header(gateway: _Gateway, _context: AttackContext) -> Counter[str]:
    """A header without end."""
    counts: Counter[str] = Counter()
    with gateway.connect() as connection:
        connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: a\r\nA: ")
        chunk = b"a" * 2**20
        sent = 0
        with suppress(OSError):
            while sent < _HEADER_BYTES:
                connection.sendall(chunk)
                sent += len(chunk)
        counts["cut off" if sent < _HEADER_BYTES else "taken"] = 1
    return counts


_GOOD = r"good request: (right|503)|MiB of memory more at most|ms for /healthz at most"

ATTACKS: Final = (
    Attack(
        "gateway: keys",
        "every route in many spellings, without a key",
        _on_gateway(_keys),
        allows=rf"40[0145]|{_GOOD}",
    ),
    Attack(
        "gateway: addresses", "addresses wherever one may stand", _on_gateway(_addresses), allows=rf"4(00|22)|{_GOOD}"
    ),
    Attack(
        "gateway: silence",
        f"{_SILENT} bodies that never come, for {_SLOTS} slots",
        _on_gateway(_silent),
        allows=rf"held open|slots are free|{_GOOD}",
    ),
    Attack(
        "gateway: never read",
        f"{_DOCUMENTS} documents of {_PAGES} large pages that nobody reads",
        _on_gateway(_unread),
        allows=rf"held open|slots are free|{_GOOD}",
    ),
    Attack(
        "gateway: many values",
        f"JSON of {_BOMB_BYTES // 1_000_000} MB of small values, in five ways",
        _on_gateway(_bombs),
        allows=rf"4(00|22)|{_GOOD}",
    ),
    Attack(
        "gateway: a long header",
        f"a header of {_HEADER_BYTES // 1_000_000} MB",
        _on_gateway(_header),
        allows=rf"cut off|{_GOOD}",
    ),
)
