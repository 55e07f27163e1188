"""Which tests run in one process where there are several (`pytest -n 2`)."""

from __future__ import annotations

from pathlib import PurePosixPath

from xdist.scheduler import LoadScopeScheduling


class ByServer(LoadScopeScheduling):
    """The tests of the shared server in one process, integration tests of other servers in one, others by their files.

    Marks of groups cannot say so: pytest 9.2 does not tell xdist's scheduler of them.
    """

    def _split_scope(self, nodeid: str) -> str:
        file = PurePosixPath(nodeid.partition("::")[0])
        return str(file.parent if file.is_relative_to("tests/integration") else file)
