"""Which tests run in one process where there are several (`pytest -n 2`)."""

from __future__ import annotations

from pathlib import PurePosixPath

from xdist.scheduler import LoadScopeScheduling

_SHARED = PurePosixPath("tests/integration")


class ByServer(LoadScopeScheduling):
    """The tests of the shared server in one process, in their order; all others by their files.

    Marks of groups cannot say so: pytest 9.2 does not tell xdist's scheduler of them.
    """

    def _split_scope(self, nodeid: str) -> str:
        file = PurePosixPath(nodeid.partition("::")[0])
        return str(_SHARED if file.parent == _SHARED else file)
