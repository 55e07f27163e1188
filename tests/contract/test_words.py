"""One word for one thing, and the field's own: what names, docs and messages no longer say."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

WORDS = {
    "door": "model, endpoint, middleware, availability",
    "doors": "models, endpoints, middleware",
    "hop": "engine input",
    "hops": "engine inputs",
    "face": "interface",
    "faces": "interfaces",
    "picture": "image",
    "pictures": "images",
    "errand": "request kind",
    "errands": "request kinds",
    "ledger": "request audit",
    "contender": "system",
    "contenders": "systems",
    "patience": "timeout, seconds",
    "side channel": "control channel",
    "is wanted": "expected",
    "are wanted": "expected",
    "can not": "cannot",
    "is not there": "not found, does not exist",
    "are not there": "not found, missing",
    "under way": "pending, in progress",
}
"""What is not said, and what is said for it."""

ALLOWED = {
    "Hugging Face": "a name",
    "Bediend door|geholpen door": "Dutch, of drawn receipts",
    "Blue Door Diner": "one of the names that drawn receipts have",
    "Names over the door": "where such names stand",
}

TYPOGRAPHY = {
    Path("perf/images.py"),
    Path("tools/draw_sample.py"),
    Path("training/fields/world.py"),
    *(
        Path(f"training/mini/world/{name}.py")
        for name in ("charts", "fonts", "pages", "seals", "sheet", "spotting", "tables")
    ),
    Path("training/nano/fonts.py"),
    Path("training/nano/paint.py"),
    Path("training/nano/world.py"),
    Path("tests/unit/training/test_nano_world.py"),
}
"""Where a face is a font at a size, as in FreeType."""

OTHERS = {
    Path("tests/contract/test_words.py"),
    Path("backend/ocrvl/checkpoints/nano/tokenizer.json"),
    Path("training/mini/merges.txt"),
}
TEXT = {".css", ".html", ".js", ".json", ".md", ".pbtxt", ".py", ".sh", ".toml", ".tpl", ".txt", ".yaml", ".yml", ""}


def tracked() -> list[Path]:
    """The project's own text files; schemas are others', locks are made."""
    listed = subprocess.run(["git", "ls-files"], capture_output=True, text=True, check=True).stdout.splitlines()
    paths = [Path(name) for name in listed if "support/schemas/" not in name and not name.endswith(".lock.txt")]
    return [path for path in paths if path.suffix in TEXT and path not in OTHERS and path.is_file()]


def parts(text: str) -> str:
    """The text with its identifiers taken apart, so that a word is found in `open_door` and in `DoorOpened` as well."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", " ", text.replace("_", " "))


def found(path: Path) -> list[str]:
    """The lines of a file, and its own name, that say what is not said."""
    words = [word for word in WORDS if not (path in TYPOGRAPHY and word in ("face", "faces"))]
    pattern = re.compile(rf"\b({'|'.join(words)})\b", re.IGNORECASE)
    allowed = re.compile("|".join(ALLOWED))
    lines = [(0, str(path)), *enumerate(path.read_text("utf-8").splitlines(), 1)]
    return [
        f"{path}:{number}: {line.strip()[:100]}"
        for number, line in lines
        if pattern.search(parts(allowed.sub("", line)))
    ]


def test_what_has_a_word_of_the_field_is_called_by_it() -> None:
    assert [line for path in tracked() for line in found(path)] == []


@pytest.mark.parametrize("line", ["the_door = 1", "class DoorOpened:", "a picture", "a shape is wanted", "Hop"])
def test_a_word_is_found_wherever_it_stands(line: str, tmp_path: Path) -> None:
    path = tmp_path / "a.py"
    path.write_text(line, "utf-8")
    assert len(found(path)) == 1


@pytest.mark.parametrize("line", ["an interface", "Hugging Face", "hopper", "outdoors"])
def test_what_only_looks_like_one_is_not(line: str, tmp_path: Path) -> None:
    path = tmp_path / "a.py"
    path.write_text(line, "utf-8")
    assert found(path) == []
