"""The worker: from messages of `todo` to results in the store and events on `done`."""
