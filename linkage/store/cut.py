"""A store as it was at a time: later requests go from a copy of it, with all that is counted of them."""

from __future__ import annotations

import sqlite3
from typing import Final

from linkage.store.statements import BUMP_REVISION
from linkage.terms import DAY_MS

_MARK_DAY: Final = """
insert or ignore into dirty
select distinct account_id, :day from request where at_ms >= :until_ms and at_ms / 86400000 = :day
"""

_CUT: Final = (
    "delete from request where at_ms >= :until_ms",
    "delete from entity_use where day > :day",
    "delete from account_day where day > :day",
    "delete from account_hour where hour >= 24 * (:day + 1)",
    "delete from coverage_day where day > :day",
    "delete from prompt where id not in (select prompt_id from request where prompt_id is not null)",
    """
insert or ignore into template (id, name, text, slots) select id, name, text, slots from past_template
""",
    BUMP_REVISION,
)


def cut_off(connection: sqlite3.Connection, until_ms: int) -> None:
    """Forget requests from a time on; accounts that are cut in the middle of its day become dirty.

    Templates are to be mined anew, and dirty rollups to be added anew, by the caller.

    Parameters
    ----------
    until_ms : UTC epoch milliseconds; a request at this time goes.
    """
    values = {"until_ms": until_ms, "day": until_ms // DAY_MS}
    connection.execute(_MARK_DAY, values)
    for statement in _CUT:
        connection.execute(statement, values if ":" in statement else {})
