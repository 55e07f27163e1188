"""Offsets: whatever the order in which receipts finish, what is committed has nothing unfinished before it."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from ocrvl_receipts.worker.offsets import OffsetTracker


@given(st.data())
def test_the_offset_to_commit_is_after_all_that_are_finished_without_a_gap(data: st.DataObject) -> None:
    offsets = sorted(data.draw(st.sets(st.integers(0, 200), min_size=1, max_size=30)))
    order = data.draw(st.permutations(offsets))
    tracker = OffsetTracker()
    for offset in offsets:
        tracker.take(offset)
    finished: set[int] = set()
    for offset in order:
        tracker.finish(offset)
        finished.add(offset)
        contiguous = [one for one in offsets if all(earlier in finished for earlier in offsets if earlier <= one)]
        assert tracker.next_offset == (contiguous[-1] + 1 if contiguous else None)
        assert len(tracker) == len(offsets) - len(contiguous)
