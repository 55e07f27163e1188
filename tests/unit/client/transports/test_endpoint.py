"""`ocrvl_client._transports.endpoint`: files for TLS."""

from __future__ import annotations

from pathlib import Path

import pytest

from ocrvl_client import InvalidRequest, Tls


def test_files_that_are_not_found_are_named(tmp_path: Path) -> None:
    with pytest.raises(InvalidRequest, match=r"tls: ca: file /no/ca\.pem not found"):
        Tls(ca="/no/ca.pem")
    with pytest.raises(InvalidRequest, match="certificate and key belong together"):
        Tls(certificate=tmp_path)


def test_a_file_that_is_no_certificate_is_told(tmp_path: Path) -> None:
    file = tmp_path / "ca.pem"
    file.write_text("hello")
    with pytest.raises(InvalidRequest, match="tls: "):
        Tls(ca=file).context()
