"""Many images by threads, each in a request of its own."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor

from ocrvl_client._calls import as_ocrvl_error
from ocrvl_client._many import Many, OutcomeT, PendingReads, Started, T
from ocrvl_client._sender import Sender


def read_each(sender: Sender, many: Many[T, OutcomeT]) -> Generator[OutcomeT, None, None]:
    """The outcomes of many images. Closing the generator ends what is in flight."""
    pending: PendingReads[OutcomeT] = PendingReads(
        many.images, many.options, concurrency=many.concurrency, ordered=many.ordered
    )
    outcomes: queue.SimpleQueue[OutcomeT] = queue.SimpleQueue()
    is_closing = threading.Event()
    pool = ThreadPoolExecutor(many.concurrency, "ocrvl-read")

    def read(started: Started) -> None:
        result, failure = None, None
        try:
            began = time.monotonic()
            request = many.encode(started.image, started.options)
            answer = sender.infer(request, many.timeout, sleep=is_closing.wait, shares_token=pending.shares_token)
            result = many.decode(answer, time.monotonic() - began)
        except Exception as error:
            failure = as_ocrvl_error(error)
        pending.release(started.index)
        outcomes.put(many.outcome(started.index, started.image, result, failure))

    try:
        while True:
            while (started := pending.start_next()) is not None:
                pool.submit(read, started)
            if not pending.in_flight:
                return
            yield from pending.finish(outcomes.get())
    finally:
        if pending.in_flight:
            is_closing.set()
            sender.cancel(*pending.tokens())
        pool.shutdown(cancel_futures=True)
