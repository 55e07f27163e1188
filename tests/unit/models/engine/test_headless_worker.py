"""`ocrvl.models.engine.headless_worker`: one more machine of an engine, which ends when the first one does."""

from __future__ import annotations

import json
import socket
import threading
from pathlib import Path

import pytest

from ocrvl.models.engine.headless_worker import main, watch_leader


def test_a_leader_that_goes_is_noticed_and_one_that_has_not_come_is_waited_for() -> None:
    lost = threading.Event()
    leader = socket.socket()
    leader.bind(("127.0.0.1", 0))
    watch_leader("127.0.0.1", leader.getsockname()[1], lost.set, check_seconds=0.01)
    assert not lost.wait(0.3)
    leader.listen()
    assert not lost.wait(0.3)
    leader.close()
    assert lost.wait(10)


@pytest.mark.parametrize(
    ("settings", "rank", "message"),
    [
        ({"nnodes": 2, "master_addr": "a", "master_port": 1}, "2", "--node-rank: 2 is not below nnodes (2)"),
        ({"nnodes": 2, "master_addr": "a", "master_port": 1}, "0", "--node-rank: 0 is not below nnodes (2)"),
        ({}, "1", "--node-rank: 1 is not below nnodes (1)"),
        ({"nnodes": 2}, "1", "master_addr and master_port"),
        ({"max_num_seqs": 0}, "1", "max_num_seqs"),
    ],
)
def test_settings_that_name_no_engine_to_follow_are_refused(
    settings: dict[str, object], rank: str, message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "model.json"
    file.write_text(json.dumps({"model": "nano", **settings}), "utf-8")
    with pytest.raises(SystemExit) as ended:
        main([str(file), "--node-rank", rank])
    assert ended.value.code == 2
    assert message in capsys.readouterr().err
