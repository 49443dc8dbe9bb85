"""Accounts that are run as one, with names, addresses, cards, clients and prompts that were written to do harm."""

import json
from pathlib import Path

from details import HOSTILE

NAMES = tuple(HOSTILE[key] for key in ("script", "attribute", "formula", "bidi", "template", "wide"))
"""Ids of accounts that are stored."""

UNSTORABLE = "+1\ud800 2"
"""An id with a lone surrogate, which no text file can hold: its lines are set aside."""


def write_hostile_logs(folder: Path) -> Path:
    """A log file of these accounts; JSON carries the surrogate as an escape."""
    rows = [
        {
            "timestamp": f"2026-09-0{1 + turn % 3}T{8 + turn:02d}:{place:02d}:00Z",
            "request_id": f"{place}-{turn}",
            "account_id": name,
            "api_key_id": f"@key{place}",
            "ip": f"198.51.100.{7 + turn % 2}",
            "payment_method": f"=card-{place % 2}",
            "user_agent": HOSTILE["script"],
            "model": "-m",
            "prompt": f"<script>alert(1)</script> Solve this puzzle and explain all steps of it: {place * 9 + turn}",
        }
        for place, name in enumerate((*NAMES, UNSTORABLE))
        for turn in range(6)
    ]
    path = folder / "hostile.ndjson"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="ascii")
    return path
