"""Ready lines for schedulers: a systemd service and timer, and a crontab line, for one store and drop folder."""

from __future__ import annotations

import shlex
from os import PathLike
from pathlib import Path
from typing import Final

from linkage.errors import UsageError

_CALENDARS: Final = {"hourly": ("hourly", "7 * * * *"), "daily": ("*-*-* 02:10:00", "10 2 * * *")}

_SYSTEMD: Final = """\
# /etc/systemd/system/linkage.service
[Unit]
Description=linkage: load new logs and rebuild

[Service]
Type=oneshot
Nice=10
# The dash: a file that cannot be used is told in the journal and must not keep the others from being looked at.
ExecStart=-{program} ingest {store} {folder} --wait 600
ExecStart={program} rebuild {store} --wait 600

# /etc/systemd/system/linkage.timer
[Unit]
Description=linkage: {every} rebuild

[Timer]
OnCalendar={calendar}
Persistent=true
RandomizedDelaySec=120

[Install]
WantedBy=timers.target

# then: systemctl daemon-reload && systemctl enable --now linkage.timer
# look: systemctl status linkage.service; journalctl -u linkage.service; linkage doctor {store}
"""

_CRON: Final = """\
# crontab -e
{cron} {program} ingest {store} {folder} --wait 600; {program} rebuild {store} --wait 600
"""


def schedule_lines(
    store: str | PathLike[str], folder: str | PathLike[str], *, every: str = "hourly", program: str = "linkage"
) -> str:
    """Text of a systemd service and timer and of a crontab line that ingest a folder and rebuild a store.

    Files that were loaded before change nothing, so the folder may keep them; with nothing new nothing is written.

    Parameters
    ----------
    store : the store.
    folder : where log files are dropped.
    every : ``hourly`` or ``daily``.
    program : the command to run, such as ``/opt/linkage/bin/linkage``; systemd wants its whole path.

    Raises
    ------
    UsageError : ``every`` is neither.

    Examples
    --------
    >>> print(schedule_lines("/srv/logs.db", "/srv/drop", every="daily").splitlines()[-1])
    10 2 * * * linkage ingest /srv/logs.db /srv/drop --wait 600; linkage rebuild /srv/logs.db --wait 600
    """
    if every not in _CALENDARS:
        raise UsageError(f"wanted hourly or daily; got {every!r}. Choose one of the two and edit the lines for more")
    calendar, cron = _CALENDARS[every]
    words = {"program": program, "store": str(Path(store).absolute()), "folder": str(Path(folder).absolute())}
    unit = _SYSTEMD.format(every=every, calendar=calendar, **{name: _unit_word(word) for name, word in words.items()})
    line = _CRON.format(cron=cron, **{name: _cron_word(word) for name, word in words.items()})
    return f"{unit}\n{line}"


def _unit_word(word: str) -> str:
    """A word as systemd reads it: ``%`` and ``$`` doubled, in quotes where it holds white space or quotes."""
    plain = word.replace("%", "%%").replace("$", "$$")
    if not any(mark in plain for mark in " \t\"'\\"):
        return plain
    escaped = plain.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _cron_word(word: str) -> str:
    """A word as a shell reads it in a crontab, where a bare ``%`` ends the command."""
    return shlex.quote(word).replace("%", "\\%")
