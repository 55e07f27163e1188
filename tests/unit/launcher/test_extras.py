"""`ocrvl.launcher.extras`: a server without the packages of receipts starts without their models."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from ocrvl.launcher.extras import RECEIPT_PACKAGES, installed_models
from ocrvl.launcher.server import ServerFailed, ServerOptions, TritonServer


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    for model in ("ocr", "fields", "receipt", "mine"):
        (tmp_path / model).mkdir()
        (tmp_path / model / "config.pbtxt").touch()
    return tmp_path


def without(*packages: str) -> Callable[[str], bool]:
    return lambda package: package not in packages


def test_models_that_lack_a_package_are_left_out_and_one_line_says_so(repository: Path) -> None:
    lines: list[str] = []
    assert installed_models(repository, (), lines.append, without("rapidocr")) == ("mine", "ocr")
    assert lines == [
        "left out: fields, receipt (not installed: rapidocr; for receipts install ocrvl with its extra 'receipt')"
    ]


def test_nothing_is_said_where_nothing_is_left_out(repository: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    lines: list[str] = []
    assert installed_models(repository, (), lines.append, without()) == ()
    assert installed_models(repository, ("ocr",), lines.append, without(*RECEIPT_PACKAGES)) == ("ocr",)
    assert installed_models(tmp_path_factory.mktemp("empty"), (), lines.append, without("rapidocr")) == ()
    assert lines == []


def test_a_model_that_was_asked_for_is_not_left_out_in_silence(
    repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(ValueError, match=r"^receipt: not installed: tokenizers; .* extra 'receipt'$"):
        installed_models(repository, ("ocr", "receipt"), print, without("tokenizers"))
    monkeypatch.setattr("ocrvl.launcher.extras.RECEIPT_PACKAGES", ("no_such_package",))
    options = ServerOptions(repository, http_port=0, grpc_port=0, metrics_port=0, models=("fields",))
    with pytest.raises(ServerFailed, match="fields: not installed: no_such_package"), TritonServer(options):
        pass
