"""The real server: uvicorn's own access lines are read, with their colours and its way to write IPv6 addresses."""

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

from linkage.intake.files import read_raw
from linkage.intake.records import check_requests

CLIENT = Path(__file__).with_name("uvicorn_client.py")

pytestmark = pytest.mark.skipif(importlib.util.find_spec("uvicorn") is None, reason="uvicorn is missing")


@pytest.mark.parametrize("how", ["plain", "colours"])
def test_every_post_is_one_request_of_its_address(tmp_path: Path, how: str) -> None:
    path = tmp_path / "access.log"
    subprocess.run([sys.executable, str(CLIENT), str(path), how], check=True, capture_output=True, timeout=120)
    assert ("\x1b[" in path.read_text(encoding="utf-8")) == (how == "colours")
    raw = read_raw(path)
    assert raw.format_name == "vllm"
    (batch,) = raw.batches
    checked = check_requests(batch, raw.format)
    assert [(row["ip"], row["endpoint"], row["status"]) for row in checked.table.to_pylist()] == [
        (client, *told)
        for client in ("203.0.113.7", "203.0.113.8", "2001:db8::7")
        for told in (("/v1/chat/completions", 200), ("/v1/busy", 429))
    ]
    assert checked.table["account_id"].equals(checked.table["ip"])
    assert not checked.rejected
