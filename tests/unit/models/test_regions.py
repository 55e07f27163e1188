"""`ocrvl.models.regions`: blocks as they travel between models."""

from __future__ import annotations

from ocrvl.models.regions import Region, decode_regions, encode_regions


def test_regions_travel_as_they_are() -> None:
    regions = [
        Region("text", 0.5, (1.0, 2.0, 30.0, 40.0)),
        Region("seal", 0.25, (0.0, 0.0, 9.0, 9.0), ((0.0, 0.0), (9.0, 0.0), (4.0, 9.0))),
    ]
    for sent in (regions, []):
        tensors = encode_regions(sent)
        assert decode_regions(lambda name: tensors[name]) == sent  # noqa: B023 - called in this very round
