"""`perf.gpu.stand_in`: a checkpoint of the real shapes that vLLM takes."""

from __future__ import annotations

import json
from pathlib import Path

from safetensors import safe_open
from tokenizers import Tokenizer

from ocrvl.checkpoint import nano_path
from ocrvl.imaging.grid import PixelGrid
from perf.gpu.stand_in import write_stand_in, write_weights


def test_it_has_the_real_model_s_shapes_and_limits(tmp_path: Path) -> None:
    folder = write_stand_in(tmp_path / "stand-in")
    config = json.loads((folder / "config.json").read_text("utf-8"))
    assert (config["vision_config"]["hidden_size"], config["vision_config"]["num_hidden_layers"]) == (1152, 27)
    assert (config["text_config"]["hidden_size"], config["text_config"]["num_hidden_layers"]) == (1024, 18)
    grid = PixelGrid.from_checkpoint(folder)
    assert (grid.min_pixels, grid.max_pixels) == (112_896, 1_003_520)


def test_every_token_of_the_vocabulary_has_a_word(tmp_path: Path) -> None:
    folder = write_stand_in(tmp_path / "stand-in")
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    assert tokenizer.get_vocab_size() == 103_424
    assert tokenizer.decode([103_423]) == " word103423"


def test_its_weights_have_the_names_and_shapes_of_a_checkpoint_s(tmp_path: Path) -> None:
    folder = write_stand_in(tmp_path / "stand-in", text={}, vision={})
    write_weights(folder)

    def tensors(path: Path) -> dict[str, list[int]]:
        with safe_open(path / "model.safetensors", "pt") as file:
            return {name: file.get_slice(name).get_shape() for name in file.keys()}  # noqa: SIM118

    assert tensors(folder) == tensors(nano_path())
