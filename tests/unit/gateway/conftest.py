"""A gateway whose reader is scripted."""

from __future__ import annotations

import pytest

from tests.support.gateways import GatewayClient, ScriptedReader, make_app


@pytest.fixture
def reader() -> ScriptedReader:
    return ScriptedReader()


@pytest.fixture
def client(reader: ScriptedReader) -> GatewayClient:
    return GatewayClient(make_app(reader))
