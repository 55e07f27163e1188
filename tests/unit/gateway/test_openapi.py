"""The gateway's OpenAPI document against its answers to requests of schemathesis, valid ones and invalid ones."""

from __future__ import annotations

from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, settings
from schemathesis import Case
from schemathesis.checks import CHECKS

from tests.support.gateways import GatewayClient, ScriptedReader, make_app

KEY = "a-key-of-some-length"
EXAMPLES = 25
"""For each operation and each of its phases."""

APP = make_app(ScriptedReader(), api_keys=[KEY])
schema = schemathesis.openapi.from_asgi("/openapi.json", APP)

# No schema can say what an image or a page of PaddleX is, so right-looking ones may be refused, with a 400 or 422.
EXCLUDED: list[Any] = [CHECKS.get_one("positive_data_acceptance")]


@pytest.fixture(scope="module", autouse=True)
def _paddlex_is_imported() -> None:
    """It takes longer than the time that schemathesis gives an answer."""
    answer = GatewayClient(APP).post(
        "/restructure-pages", json={"pages": []}, headers={"Authorization": f"Bearer {KEY}"}
    )
    assert answer.is_success


@schema.parametrize()
@settings(
    max_examples=EXAMPLES,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.data_too_large],
)
def test_every_answer_is_one_that_the_document_promises(case: Case[Any]) -> None:
    case.call_and_validate(headers={"Authorization": f"Bearer {KEY}"}, excluded_checks=EXCLUDED)
