"""`ocrvl.models.engine.warmup`: what is read before anyone waits for it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping

import pytest

from ocrvl.errors import InvalidArgument, Unavailable
from ocrvl.messages import PackedImage, Reading
from ocrvl.models.engine.warmup import warm_up
from ocrvl.options import Options
from tests.support.doubles import GRID


class Engine:
    """Reads what it is given; `refuse` is raised for images of more patches than `room`."""

    def __init__(self, room: int | None = None, refuse: Exception | None = None) -> None:
        self._room, self._refuse = room, refuse
        self._inside: list[int] = []
        self.alone: list[int] = []
        self.most: dict[int, int] = {}

    async def read(
        self,
        image: PackedImage,
        options: Options,
        request_id: str,
        *,
        trace_headers: Mapping[str, str] | None = None,
        on_text: Callable[[str], None] | None = None,
    ) -> Reading:
        patches = len(image.patches)
        if self._refuse and self._room is not None and patches > self._room:
            raise self._refuse
        self._inside.append(patches)
        await asyncio.sleep(0.01)
        self.most[patches] = max(self.most.get(patches, 0), self._inside.count(patches))
        if len(self._inside) == 1:
            self.alone.append(patches)
        self._inside.remove(patches)
        return Reading(image.index)


def test_large_images_are_read_alone_and_as_many_as_a_step_takes() -> None:
    engine = Engine()
    asyncio.run(warm_up(engine, GRID, step_tokens=4096))
    small, large = min(engine.most), max(engine.most)
    assert {small, large} <= set(engine.alone)
    # four patches a token, and one more than fit: the first is read while the others arrive
    assert engine.most[large] == 1 + 4096 * 4 // large
    assert engine.most[large] > 8


def test_a_model_without_room_for_the_largest_image_starts() -> None:
    engine = Engine(room=100, refuse=InvalidArgument("too long"))
    asyncio.run(warm_up(engine, GRID, step_tokens=4096))
    assert max(engine.most) <= 100


def test_an_engine_that_ends_over_a_full_step_does_not_start() -> None:
    with pytest.raises(Unavailable):
        asyncio.run(warm_up(Engine(room=100, refuse=Unavailable("the engine has stopped")), GRID, step_tokens=4096))
