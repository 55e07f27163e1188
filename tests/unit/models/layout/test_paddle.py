"""PaddleX's real predictor on real ONNX Runtime, with a network whose findings are known."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
from paddlex.inference.models.layout_analysis.processors import LayoutAnalysisProcess

from ocrvl.models.layout.detectors import Pixels
from ocrvl.models.layout.model import LayoutModel
from ocrvl.models.layout.paddle import Engine, PaddleDetector, _Process, default_engine
from ocrvl.models.layout_options import LayoutOptions
from ocrvl.models.regions import LABELS, Region
from ocrvl.triton.context import ModelContext
from tests.support.layout_models import MASK_SIDE, Found, write_model

_RHOMBUS = np.fromfunction(lambda y, x: abs(x - 140) / 40 + abs(y - 80) / 40 <= 1, (MASK_SIDE, MASK_SIDE)).astype(
    np.int32
)
TITLE = Found("doc_title", 0.9, (0.1, 0.05, 0.9, 0.15), order=0)
SEAL = Found("seal", 0.8, (0.5, 0.2, 0.9, 0.6), order=1, mask=_RHOMBUS)
TEXT = Found("text", 0.6, (0.1, 0.2, 0.4, 0.9), order=2)
NUMBER = Found("number", 0.4, (0.1, 0.95, 0.2, 0.99), order=3, wider=0.1)
FAINT = Found("table", 0.2, (0.5, 0.7, 0.9, 0.9), order=4)
# not in the order in which they are read
FOUND = [FAINT, TEXT, TITLE, NUMBER, SEAL]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_model(tmp_path_factory.mktemp("layout") / "v3", FOUND)


@pytest.fixture(scope="module")
def detector(folder: Path) -> PaddleDetector:
    return load(folder)


def load(
    folder: Path, name: str = "PP-DocLayoutV3", engine: Engine = "onnxruntime", device: str = "cpu"
) -> PaddleDetector:
    return PaddleDetector(name, folder, engine, device, batch_size=4, threads=1)


def red(width: int = 1000, height: int = 1000, strength: int = 255) -> Pixels:
    page = np.zeros((height, width, 3), np.uint8)
    page[..., 0] = strength
    return page


def labels(regions: list[Region]) -> list[str]:
    return [region.label for region in regions]


def area(polygon: tuple[tuple[float, float], ...]) -> float:
    xs, ys = np.array(polygon).T
    return float(abs(np.dot(xs, np.roll(ys, 1)) - np.dot(ys, np.roll(xs, 1))) / 2)


def test_blocks_come_in_the_network_s_reading_order_with_boxes_in_pixels_of_the_page(detector: PaddleDetector) -> None:
    (found,) = detector.detect([red(500, 2000)], [LayoutOptions()])
    assert [(region.label, region.box) for region in found] == [
        ("doc_title", (50, 100, 450, 300)),
        ("seal", (250, 400, 450, 1200)),
        ("text", (50, 400, 200, 1800)),
        ("number", (50, 1900, 150, 1980)),
    ]
    assert [region.score for region in found] == pytest.approx([0.9, 0.8, 0.6, 0.4], abs=1e-3)


def test_v2_gives_boxes_and_order_and_no_polygons(tmp_path: Path) -> None:
    v2 = load(write_model(tmp_path / "v2", FOUND, "PP-DocLayoutV2"), "PP-DocLayoutV2")
    (found,) = v2.detect([red()], [LayoutOptions(layout_shape_mode="poly")])
    assert labels(found) == ["doc_title", "seal", "text", "number"]
    assert {region.polygon for region in found} == {None}


def test_the_network_sees_red_green_and_blue_in_this_order(detector: PaddleDetector) -> None:
    assert detector.detect([red()[..., ::-1]], [LayoutOptions()]) == [[]]
    (half,) = detector.detect([red(strength=128)], [LayoutOptions()])
    assert [region.score for region in half] == pytest.approx(np.array([0.9, 0.8, 0.6]) * 128 / 255, abs=1e-3)


@pytest.mark.parametrize(
    ("options", "found"),
    [
        ({}, ["doc_title", "seal", "text", "number"]),
        ({"layout_threshold": 0}, ["doc_title", "seal", "text", "number", "table"]),
        ({"layout_threshold": 0.7}, ["doc_title", "seal"]),
        ({"layout_threshold": 1}, []),
        # PaddleX's own threshold for classes that are not named: 0.5
        ({"layout_threshold": {LABELS.index("table"): 0.1}}, ["doc_title", "seal", "text", "table"]),
    ],
)
def test_blocks_under_the_threshold_are_left_out(
    detector: PaddleDetector, options: dict[str, Any], found: list[str]
) -> None:
    assert labels(detector.detect([red()], [LayoutOptions(**options)])[0]) == found


def test_pages_that_are_asked_for_alike_go_through_the_network_together(detector: PaddleDetector) -> None:
    few, many = LayoutOptions(layout_threshold=0.7), LayoutOptions()
    pages = [red(), red(200, 100), red(), red(), red(), red(), red()]
    answers = detector.detect(pages, [many, many, few, many, many, many, LayoutOptions()])
    assert [len(found) for found in answers] == [4, 4, 2, 4, 4, 4, 4]
    assert answers[1][0].box == (20, 5, 180, 15)
    # six alike in batches of four and two: the number's box tells how many there were
    widths = [found[3].box[2] / page.shape[1] for found, page in zip(answers, pages, strict=True) if len(found) == 4]
    assert widths == pytest.approx([0.6, 0.6, 0.6, 0.6, 0.4, 0.4])


@pytest.mark.parametrize("mode", ["quad", "poly", "auto"])
def test_a_shape_that_is_no_upright_box_has_its_corners(detector: PaddleDetector, mode: Any) -> None:
    (found,) = detector.detect([red()], [LayoutOptions(layout_shape_mode=mode)])
    seal, text = (next(region for region in found if region.label == label) for label in ("seal", "text"))
    assert seal.polygon is not None
    assert text.polygon is not None
    assert len(seal.polygon) == 4 or mode == "poly"
    # a rhombus is half of its box
    assert area(seal.polygon) == pytest.approx(0.5 * 400 * 400, rel=0.1)
    assert area(text.polygon) == pytest.approx(300 * 700, rel=0.02)


def test_no_polygons_are_given_where_boxes_are_asked_for(detector: PaddleDetector) -> None:
    (found,) = detector.detect([red()], [LayoutOptions(layout_shape_mode="rect")])
    assert {region.polygon for region in found} == {None}


@pytest.mark.parametrize("mode", ["quad", "poly", "auto", "rect"])
def test_a_box_of_no_area_does_not_hurt_the_others(tmp_path: Path, mode: Any) -> None:
    flat = Found("text", 0.9, (0.5, 0.5, 0.5, 0.9), order=0)
    detector = load(write_model(tmp_path / "flat", [flat, SEAL, TEXT]))
    (found,) = detector.detect([red()], [LayoutOptions(layout_shape_mode=mode)])
    assert labels(found) == ["seal", "text"]


@pytest.mark.parametrize("threshold", [0.3, {LABELS.index("text"): 0.3}])
def test_a_page_on_which_no_box_has_an_area_has_no_blocks(tmp_path: Path, threshold: Any) -> None:
    flat = Found("text", 0.9, (0.5, 0.5, 0.5, 0.9), order=0)
    detector = load(write_model(tmp_path / "flat", [flat]))
    assert detector.detect([red(), red()], [LayoutOptions(layout_threshold=threshold)] * 2) == [[], []]


@pytest.mark.parametrize(
    ("mode", "found"),
    [
        ("union", ["table", "text", "seal"]),
        ("large", ["table", "seal"]),
        ("small", ["text", "seal"]),
        ({LABELS.index("table"): "large"}, ["table", "seal"]),
    ],
)
def test_of_blocks_inside_each_other_those_that_are_asked_for_stay_with_their_own_polygons(
    tmp_path: Path, mode: Any, found: list[str]
) -> None:
    outer = Found("table", 0.9, (0.05, 0.1, 0.45, 0.95), order=0)
    last = Found("seal", 0.8, SEAL.box, order=9, mask=SEAL.mask)
    nested = load(write_model(tmp_path / "nested", [outer, TEXT, last]))
    (kept,) = nested.detect([red()], [LayoutOptions(layout_merge_bboxes_mode=mode, layout_shape_mode="poly")])
    assert labels(kept) == found
    for region in kept:
        assert region.polygon is not None
        xs, ys = zip(*region.polygon, strict=True)
        assert (min(xs), min(ys), max(xs), max(ys)) == pytest.approx(region.box, abs=12)


@pytest.mark.parametrize(("mode", "kept"), [("union", [0, 1, 3]), ("large", [0, 3]), ("small", [1, 3])])
def test_blocks_keep_their_own_polygons_where_the_network_gives_polygons_as_in_transformers(
    mode: str, kept: list[int]
) -> None:
    table, inside = (21, 0.9, 0, 0, 50, 90, 0), (22, 0.8, 5, 5, 45, 80, 1)
    flat, beside = (20, 0.7, 60, 60, 60, 90, 2), (20, 0.7, 60, 0, 99, 50, 3)
    rows = [table, inside, flat, beside]
    corners = [
        [[left, top], [right, top], [right, bottom], [left, bottom]] for _, _, left, top, right, bottom, _ in rows
    ]
    outputs = [{"boxes": np.array(rows, np.float32), "polygon_points": [np.array(points) for points in corners]}]
    process = _Process(LayoutAnalysisProcess(labels=list(LABELS), scale_size=[800, 800]))
    (found,) = process(
        outputs, [{"ori_img_size": (100, 100)}], threshold=0.5, layout_merge_bboxes_mode=mode, layout_shape_mode="auto"
    )
    assert [block["polygon_points"].tolist() for block in found] == [corners[index] for index in kept]


def test_boxes_are_widened_by_the_ratio_and_end_at_the_page(detector: PaddleDetector) -> None:
    (found,) = detector.detect([red()], [LayoutOptions(layout_unclip_ratio=(1.5, 1.0))])
    assert [region.box for region in found[:2]] == [(0, 50, 1000, 150), (400, 200, 1000, 600)]


def test_the_engine_is_onnx_runtime_on_a_cpu_and_transformers_on_a_gpu_unless_set() -> None:
    assert (default_engine("cpu"), default_engine("gpu:1")) == ("onnxruntime", "transformers")


@pytest.mark.parametrize(
    ("missing", "reason"),
    [
        ("", "folder: there is no folder .*absent$"),
        ("inference.yml", "folder: .*/copy has no inference.yml, which the engine onnxruntime wants$"),
        ("inference.onnx", "folder: .*/copy has no inference.onnx, which the engine onnxruntime wants$"),
    ],
)
def test_files_that_are_missing_are_named(tmp_path: Path, missing: str, reason: str) -> None:
    copy = write_model(tmp_path / "copy", FOUND)
    if missing:
        (copy / missing).unlink()
    with pytest.raises(ValueError, match=reason):
        load(copy if missing else tmp_path / "absent")


@pytest.mark.parametrize(
    ("file", "content", "reason"),
    [
        ("inference.onnx", b"version https://git-lfs", "Protobuf parsing failed"),
        ("inference.yml", b"{", "expected the node content"),
        ("inference.yml", b"Global: {model_name: PP-DocLayoutV2}", "PP-DocLayoutV2"),
        ("inference.yml", b"Global: {model_name: PP-DocLayoutV3}", "KeyError: 'Preprocess'"),
    ],
)
def test_files_that_cannot_be_used_are_refused_in_one_line(
    tmp_path: Path, file: str, content: bytes, reason: str
) -> None:
    copy = write_model(tmp_path / "copy", FOUND)
    (copy / file).write_bytes(content)
    with pytest.raises(ValueError, match=rf"^folder: .*/copy cannot be loaded as PP-DocLayoutV3 by .*{reason}.*\)$"):
        load(copy)


@pytest.mark.skipif(find_spec("torchvision") is not None, reason="torchvision is installed")
@pytest.mark.parametrize("name", ["PP-DocLayoutV3", "PP-DocLayoutV2"])
def test_without_torchvision_transformers_is_refused_with_the_way_out(folder: Path, name: str) -> None:
    with pytest.raises(ValueError, match=r"^engine: transformers .* torchvision, .* set engine to onnxruntime$"):
        load(folder, name, "transformers")


@pytest.mark.skipif("CUDAExecutionProvider" in onnxruntime.get_available_providers(), reason="it has CUDA")
def test_onnx_runtime_without_cuda_is_refused_on_a_gpu(folder: Path) -> None:
    with pytest.raises(ValueError, match=r"^engine: the installed onnxruntime cannot use gpu:0: install"):
        load(folder, device="gpu:0")


def test_hubs_that_cannot_be_reached_are_said_with_the_setting_that_does_without(tmp_path: Path) -> None:
    """In a process of its own: PaddleX reads where its hubs and its files are when it is imported."""
    program = (
        "from ocrvl.models.layout.paddle import PaddleDetector\n"
        "try: PaddleDetector('PP-DocLayoutV3', None, 'onnxruntime', 'cpu', 1, 1)\n"
        "except ValueError as error: print('said:', error)\n"
    )
    environment = {
        **os.environ,
        **dict.fromkeys(("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"), "http://127.0.0.1:9"),
        "PYTHONPATH": os.pathsep.join(sys.path),
        "PADDLE_PDX_CACHE_HOME": str(tmp_path),
        "PADDLE_PDX_DISABLE_MODEL_SOURCE_CHECK": "false",
        # one try of each page of each hub, since half a minute of retries shows no more
        **dict.fromkeys(("MODELSCOPE_API_MAX_RETRIES", "MODELSCOPE_REPO_TREE_PAGE_MAX_ATTEMPTS"), "1"),
    }
    ended = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True)
    assert "said: folder: not set, and PP-DocLayoutV3 could not be had from PaddleX's hubs; name a" in ended.stdout


@pytest.mark.parametrize(
    ("parameters", "reason"),
    [
        ({"detector": "PP-DocLayoutV9"}, 'config.pbtxt: parameters: detector: "PP-DocLayoutV9": .*PP-DocLayoutV3'),
        ({"engine": "paddle"}, 'config.pbtxt: parameters: engine: "paddle": .*onnxruntime'),
        ({"detector": "PP-DocLayoutV3", "folder": "/absent"}, "config.pbtxt: parameters: folder: there is no folder /"),
    ],
)
def test_what_is_wrong_is_said_with_the_file_and_the_setting(
    tmp_path: Path, parameters: dict[str, str], reason: str
) -> None:
    context = ModelContext("layout", tmp_path, "1", parameters, "layout_0_0", "CPU", 0, 1, 8)
    with pytest.raises(ValueError, match=reason):
        LayoutModel(context, lambda *_: None, None)  # type: ignore[arg-type] # it fails before their use
