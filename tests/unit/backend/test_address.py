"""`ocrvl.address`: host and port."""

from __future__ import annotations

import re

import pytest

from ocrvl.address import split_address


@pytest.mark.parametrize(
    ("address", "parts"),
    [("localhost:8001", ("localhost", 8001)), ("10.0.0.7:0", ("10.0.0.7", 0)), ("[fe80::1]:65535", ("fe80::1", 65535))],
)
def test_an_address_is_a_host_and_a_port(address: str, parts: tuple[str, int]) -> None:
    assert split_address(address) == parts


@pytest.mark.parametrize(
    "address",
    ["", "localhost", ":8001", "localhost:", "localhost:http", "localhost:65536", "localhost:٣", "http://a:1"],
)
def test_what_is_no_host_and_port_is_refused_with_an_example(address: str) -> None:
    expected = f"{address!r}: expected host and port without a scheme, such as localhost:8001"
    with pytest.raises(ValueError, match=re.escape(expected)):
        split_address(address)
