"""`ocrvl.models.receipt.looking`: what is decoded for a receipt."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest

from ocrvl.errors import InvalidArgument
from ocrvl.imaging.decode import ImageLimits
from ocrvl.models.receipt.looking import Looker, Sight
from tests.support import images


@pytest.fixture
def looker() -> Iterator[Looker]:
    looker = Looker(None, ImageLimits(), threads=1)
    yield looker
    looker.close()


def look(looker: Looker, image: bytes) -> Sight:
    return asyncio.run(looker.look(image, lambda: None))


def test_an_image_of_one_page_is_looked_at(looker: Looker) -> None:
    assert look(looker, images.encode(images.plain())).size == images.plain().size


@pytest.mark.parametrize("kind", images.multi_frame_files())
def test_a_file_of_several_pages_is_refused_since_the_others_would_be_lost(looker: Looker, kind: str) -> None:
    with pytest.raises(InvalidArgument, match="it has 3 pages, expected one"):
        look(looker, images.multi_frame_files()[kind])
