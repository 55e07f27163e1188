"""`ocrvl.control_channel`: what engines and clients say to each other, over real sockets."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import ocrvl.control_channel.server
from ocrvl.control_channel.address import find_sockets, socket_path
from ocrvl.control_channel.client import ControlClient
from ocrvl.control_channel.messages import (
    MAX_LINE_BYTES,
    Availability,
    AvailabilityChanged,
    Cancel,
    Cancelled,
    Delta,
    Done,
    End,
    Hello,
    Message,
    Taken,
    decode_message,
    encode_message,
)
from ocrvl.control_channel.server import ControlServer
from ocrvl.messages import Reading
from ocrvl.wire import FinishReason
from tests.support.doubles import until

_TEXTS = st.text()
_NUMBERS = st.integers(0, 2**40)
_READINGS = st.builds(
    Reading, _NUMBERS, _TEXTS, st.sampled_from(FinishReason), _NUMBERS, _NUMBERS, error=_TEXTS, warning=_TEXTS
)
_MESSAGES: st.SearchStrategy[Message] = st.one_of(
    st.builds(Hello, _TEXTS),
    st.builds(Cancel, _TEXTS, _NUMBERS),
    st.builds(Cancelled, _NUMBERS, _NUMBERS),
    st.builds(AvailabilityChanged, st.sampled_from(Availability)),
    st.builds(Taken, _TEXTS),
    st.builds(Delta, _TEXTS, _NUMBERS, _TEXTS),
    st.builds(Done, _TEXTS, _READINGS),
    st.builds(End, _TEXTS),
)


@settings(deadline=None)
@given(_MESSAGES)
def test_every_message_is_one_line_and_survives_it(message: Message) -> None:
    line = encode_message(message)
    assert line.splitlines(keepends=True) == [line]
    assert decode_message(line) == message


class ListeningClient(ControlClient):
    """A client that keeps what it hears."""

    def __init__(self, folder: Path) -> None:
        self.heard: list[tuple[str, Message]] = []
        self.lost: list[str] = []
        super().__init__(folder, lambda *message: self.heard.append(message), self.lost.append)


@asynccontextmanager
async def running_engine(
    folder: Path, name: str = "e", on_cancel: Callable[[str], int] = lambda _token: 0
) -> AsyncIterator[ControlServer]:
    channel = ControlServer(socket_path(folder, name), on_cancel)
    await channel.start()
    try:
        yield channel
    finally:
        await channel.stop()


@asynccontextmanager
async def running_client(folder: Path) -> AsyncIterator[ListeningClient]:
    client = ListeningClient(folder)
    await client.start()
    try:
        yield client
    finally:
        await client.stop()


def test_a_client_gets_the_availability_at_once_and_whenever_it_changes(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with running_engine(tmp_path) as engine, running_client(tmp_path) as client:
            await until(lambda: client.heard)
            for availability in (Availability.READY, Availability.READY, Availability.FULL):
                await asyncio.to_thread(engine.set_availability, availability)
            await until(lambda: len(client.heard) == 3)
            assert client.heard == [
                ("e", AvailabilityChanged(availability))
                for availability in (Availability.DOWN, Availability.READY, Availability.FULL)
            ]
            async with running_client(tmp_path) as late:
                await until(lambda: late.heard)
                assert late.heard == [("e", AvailabilityChanged(Availability.FULL))]

    asyncio.run(scenario())


def test_text_reaches_the_client_it_is_addressed_to_and_no_other(tmp_path: Path) -> None:
    messages: list[Message] = [
        Taken("s"),
        Delta("s", 0, "line\r\nend\u2028\x00\U0001f372"),
        Done("s", Reading(0, "漢字\n", FinishReason.STOP, 5, 2)),
        End("s"),
    ]

    async def scenario() -> None:
        async with (
            running_engine(tmp_path) as engine,
            running_client(tmp_path) as one,
            running_client(tmp_path) as other,
        ):
            await until(lambda: engine.knows(one.name) and engine.knows(other.name))
            for message in messages:
                engine.send(one.name, message)
                engine.send("a client that has gone", message)
            engine.set_availability(Availability.READY)
            await until(
                lambda: (
                    ("e", AvailabilityChanged(Availability.READY)) in one.heard
                    and ("e", AvailabilityChanged(Availability.READY)) in other.heard
                )
            )
            assert one.heard[1:-1] == [("e", message) for message in messages]
            assert len(other.heard) == 2

    asyncio.run(scenario())


def test_a_cancel_goes_to_every_engine_and_their_counts_are_summed(tmp_path: Path) -> None:
    tokens: list[str] = []

    def cancels(count: int) -> Callable[[str], int]:
        def cancel(token: str) -> int:
            tokens.append(token)
            return count

        return cancel

    async def scenario() -> None:
        async with running_client(tmp_path) as alone:
            assert await alone.cancel("token") == 0
        async with (
            running_engine(tmp_path, "a", cancels(2)),
            running_engine(tmp_path, "b", cancels(3)),
            running_client(tmp_path) as client,
        ):
            assert set(await asyncio.gather(client.cancel("one"), client.cancel("two"))) == {5}

    asyncio.run(scenario())
    assert sorted(tokens) == ["one", "one", "two", "two"]


def test_an_engine_that_goes_away_during_a_cancel_counts_nothing(tmp_path: Path) -> None:
    async def leave(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readline()
        await reader.readline()
        writer.close()

    async def scenario() -> None:
        server = await asyncio.start_unix_server(leave, socket_path(tmp_path, "a"))
        async with server, running_engine(tmp_path, "b", lambda _token: 3), running_client(tmp_path) as client:
            assert await client.cancel("token") == 3
            assert client.lost == ["a"]

    asyncio.run(scenario())


def test_an_engine_that_goes_away_is_reported_and_found_again_at_the_same_place(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with running_client(tmp_path) as client:
            async with running_engine(tmp_path) as first:
                await until(lambda: first.knows(client.name))
            await until(lambda: client.lost == ["e"])
            async with running_engine(tmp_path) as second:
                await until(lambda: second.knows(client.name))
                assert await client.cancel("token") == 0
            await until(lambda: client.lost == ["e", "e"])

    asyncio.run(scenario())


def test_what_a_killed_engine_leaves_does_no_harm(tmp_path: Path) -> None:
    left = socket.socket(socket.AF_UNIX)
    left.bind(os.fspath(socket_path(tmp_path, "e")))
    left.close()

    async def scenario() -> None:
        async with running_client(tmp_path) as client:
            assert client.heard == []
            async with running_engine(tmp_path) as engine:
                await until(lambda: engine.knows(client.name))

    asyncio.run(scenario())
    assert find_sockets(tmp_path) == {}


@pytest.mark.parametrize(
    "rubbish",
    [
        b"rubbish",
        b"\xff",
        b"[]",
        b"null",
        b'{"kind":"Nothing"}',
        b'{"client":"x"}',
        b'{"kind":"Cancel","token":"x"}',
        b'{"kind":"AvailabilityChanged","availability":"ajar"}',
        b'{"kind":"Done","stream":"x","reading":{"index":0,"finish_reason":"boredom"}}',
        b"x" * (MAX_LINE_BYTES + 1),
    ],
    ids=lambda rubbish: str(rubbish[:24]),
)
def test_a_client_that_sends_rubbish_loses_its_connection_and_no_other_does(tmp_path: Path, rubbish: bytes) -> None:
    async def scenario() -> None:
        async with running_engine(tmp_path) as engine, running_client(tmp_path) as client:
            reader, writer = await asyncio.open_unix_connection(socket_path(tmp_path, "e"))
            writer.write(encode_message(Hello("bad")) + rubbish + b"\n")
            assert await reader.readline() == encode_message(AvailabilityChanged(Availability.DOWN))
            assert await reader.read() == b""
            writer.close()
            assert engine.knows(client.name)
            assert not engine.knows("bad")
            assert await client.cancel("token") == 0
            assert client.lost == []

    asyncio.run(scenario())


def test_a_client_that_does_not_read_is_cut_off_before_its_text_fills_the_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # the channel takes no setting for it, and 64 MiB are much for a unit test
    monkeypatch.setattr(ocrvl.control_channel.server, "_MAX_UNREAD_BYTES", 2**22)

    async def scenario() -> None:
        async with running_engine(tmp_path) as engine, running_client(tmp_path) as client:
            with socket.socket(socket.AF_UNIX) as deaf:
                deaf.connect(os.fspath(socket_path(tmp_path, "e")))
                deaf.sendall(encode_message(Hello("deaf")))
                await until(lambda: engine.knows("deaf"))
                pieces = 0
                while engine.knows("deaf"):
                    engine.send("deaf", Delta("s", 0, "x" * 2**18))
                    pieces += 1
                    assert pieces < 64
                    await asyncio.sleep(0)
            assert pieces > 16
            engine.set_availability(Availability.READY)
            await until(lambda: ("e", AvailabilityChanged(Availability.READY)) in client.heard)

    asyncio.run(scenario())


@pytest.mark.parametrize(
    "rubbish",
    [b'{"kind":"Cancel","token":[],"number":0}', b'{"kind":"Hello","client":[]}', b"[" * 100_000],
    ids=["token", "client", "depth"],
)
def test_a_client_that_sends_wrong_types_is_forgotten(tmp_path: Path, rubbish: bytes) -> None:
    async def scenario() -> None:
        async with running_engine(tmp_path, on_cancel=lambda token: len({token})) as engine:
            reader, writer = await asyncio.open_unix_connection(socket_path(tmp_path, "e"))
            writer.write(encode_message(Hello("bad")) + rubbish + b"\n")
            await reader.readline()
            assert await reader.read() == b""
            writer.close()
            assert not engine.knows("bad")

    asyncio.run(scenario())


def test_a_client_that_has_come_back_is_not_forgotten_when_its_old_connection_ends(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with running_engine(tmp_path) as engine:
            writers = []
            for _ in range(2):
                reader, writer = await asyncio.open_unix_connection(socket_path(tmp_path, "e"))
                writer.write(encode_message(Hello("client")))
                await reader.readline()
                writers.append(writer)
            writers[0].close()
            await asyncio.sleep(0.02)
            is_known = engine.knows("client")
            writers[1].close()
            assert is_known

    asyncio.run(scenario())
