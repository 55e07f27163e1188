"""`layout` with PaddleOCR's own kind of model, on a real server that holds nothing else."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from ocrvl.launcher.locate import find_model_repository
from ocrvl.launcher.server import ServerFailed, TritonServer
from ocrvl.models.regions import decode_regions
from ocrvl.wire import Model, Tensor
from perf.harness.server import server_options
from perf.harness.tensors import bytes_tensor
from tests.support.layout_models import Found, write_model
from tests.support.raw import PROTOCOLS, infer

OUTPUTS = (Tensor.LABEL, Tensor.SCORE, Tensor.BOX, Tensor.POLYGON)
FOUND = [Found("text", 0.5, (0.1, 0.5, 0.9, 0.9), order=1), Found("doc_title", 0.9, (0.1, 0.1, 0.9, 0.2), order=0)]


def start(folder: Path, at: Path) -> TritonServer:
    """A server of `layout` alone, set to a model in `folder`; its repository is made in `at`."""
    repository = at / "repository"
    shutil.copytree(find_model_repository() / Model.LAYOUT, repository / Model.LAYOUT)
    config = repository / Model.LAYOUT / "config.pbtxt"
    parameters = "".join(
        f'parameters [ {{ key: "{key}" value: {{ string_value: "{value}" }} }} ]\n'
        for key, value in {"detector": "PP-DocLayoutV3", "folder": folder}.items()
    )
    written, replaced = re.subn(r"(?ms)^parameters \[.*?^\]\n", parameters, config.read_text("utf-8"))
    assert replaced == 1
    config.write_text(written, "utf-8")
    return TritonServer(server_options(repository, models=(Model.LAYOUT,)))


@pytest.fixture(scope="module")
def layout_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TritonServer]:
    folder = tmp_path_factory.mktemp("layout")
    with start(write_model(folder / "model", FOUND), folder) as running:
        running.wait_until_ready()
        yield running


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_pages_of_different_sizes_and_options_sent_at_once_each_get_their_own_blocks(
    layout_server: TritonServer, protocol: str
) -> None:
    def find(number: int) -> list[tuple[str, tuple[float, ...]]]:
        page = np.zeros((1, 100 * number, 50 * number, 3), np.uint8)
        page[..., 0] = 255
        options = b'{"layout_threshold": 0.7}' if number % 3 == 0 else b"{}"
        inputs = {Tensor.PIXELS: page, Tensor.OPTIONS: bytes_tensor(options)[None]}
        answer = infer(layout_server, protocol, inputs, OUTPUTS, Model.LAYOUT)
        return [(region.label, region.box) for region in decode_regions(answer.__getitem__)]

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(find, range(1, 17)))
    for number, found in enumerate(answers, 1):
        title = ("doc_title", (5 * number, 10 * number, 45 * number, 20 * number))
        text = ("text", (5 * number, 50 * number, 45 * number, 90 * number))
        assert found == ([title] if number % 3 == 0 else [title, text])


def test_a_model_whose_files_are_missing_ends_the_start_with_the_setting_to_change(tmp_path: Path) -> None:
    with start(tmp_path / "absent", tmp_path) as failing:
        with pytest.raises(ServerFailed) as failed:
            failing.wait_until_ready()
        assert f"config.pbtxt: parameters: folder: there is no folder {tmp_path}/absent" in str(failed.value)
