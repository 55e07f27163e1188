"""Settings: what is impossible is refused by name."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from ocrvl_gateway.command_settings import InvalidSettings
from ocrvl_receipts.settings import FrontSettings, WorkerSettings, read_properties, read_settings


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--brokers", "kafka://a:9092"], "--brokers or OCRVL_RECEIPTS_BROKERS: 'kafka://a:9092': expected host and"),
        (["--window", "4"], "--window: less than --concurrency"),
        (["--key", __file__], "--certificate, --key: one goes with the other"),
        (["--ca", __file__], "--ca, --certificate: they go with --tls true"),
        (["--kafka-properties", "/nowhere"], "--kafka-properties"),
        (["--retry-delays", "0"], "--retry-delays"),
        (["--endpoint", "minio:9000"], "--endpoint"),
    ],
)
def test_a_setting_that_is_impossible_is_refused_by_its_name(arguments: list[str], words: str) -> None:
    with pytest.raises(InvalidSettings, match=re.escape(words)):
        read_settings(WorkerSettings, "worker", arguments)


def test_a_variable_for_another_command_of_the_pipeline_is_not_unknown() -> None:
    assert read_settings(FrontSettings, "front", [], {"OCRVL_RECEIPTS_WINDOW": "7"}).port == 8090
    with pytest.raises(InvalidSettings, match="OCRVL_RECEIPTS_WINDOWS: no such setting"):
        read_settings(FrontSettings, "front", [], {"OCRVL_RECEIPTS_WINDOWS": "7"})


def test_topics_are_named_after_the_prefix_one_for_each_retry() -> None:
    settings = WorkerSettings(topic_prefix="shop", retry_delays=[1, 2])
    assert (settings.todo, settings.done, settings.dlq) == ("shop.todo", "shop.done", "shop.dlq")
    assert settings.retries == ("shop.retry-1", "shop.retry-2")


def test_properties_of_the_client_are_read_from_a_file(tmp_path: Path) -> None:
    path = tmp_path / "kafka.properties"
    path.write_text("# TLS\nsecurity.protocol = sasl_ssl\n\nsasl.password=a=b\n")
    assert read_properties(path) == {"security.protocol": "sasl_ssl", "sasl.password": "a=b"}


@pytest.mark.parametrize(
    ("text", "words"), [("nonsense", ":1: expected name=value"), ("\ngroup.id=x", ":2: group.id is decided by the")]
)
def test_a_property_that_cannot_be_is_refused_with_its_line(tmp_path: Path, text: str, words: str) -> None:
    path = tmp_path / "kafka.properties"
    path.write_text(text)
    with pytest.raises(InvalidSettings, match=words):
        read_settings(WorkerSettings, "worker", ["--kafka-properties", str(path)])
