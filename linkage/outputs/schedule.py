"""Ready lines for schedulers: a systemd service and timer, and a crontab line, for one store and drop folder."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
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
# Whatever could be loaded is rebuilt from. The unit fails when either command does; 65 says that a file could not be
# used, which linkage doctor tells, too.
SuccessExitStatus=65
ExecStart=/bin/sh -c {both}

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
# look: systemctl status linkage.service; journalctl -u linkage.service; {doctor}
"""

_CRON: Final = """\
# crontab -e
{cron} {ingest}; {rebuild}
"""


def schedule_lines(
    store: str | PathLike[str],
    folder: str | PathLike[str],
    *,
    every: str = "hourly",
    program: Sequence[str] = ("linkage",),
) -> str:
    """Text of a systemd service and timer and of a crontab line that ingest a folder and rebuild a store.

    Files that were loaded before change nothing, so the folder may keep them; with nothing new nothing is written.

    Parameters
    ----------
    store : the store.
    folder : where log files are dropped.
    every : ``hourly`` or ``daily``.
    program : the words of the command to run, such as ``["/opt/linkage/bin/linkage"]``, with its whole path.

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
    place, drop = str(Path(store).absolute()), str(Path(folder).absolute())
    ingest = shlex.join([*program, "ingest", place, drop, "--wait", "600"])
    rebuild = shlex.join([*program, "rebuild", place, "--wait", "600"])
    unit = _SYSTEMD.format(
        every=every,
        calendar=calendar,
        both=_unit_word(f"{ingest}; loaded=$?; {rebuild} && exit $loaded"),
        doctor=shlex.join([*program, "doctor", place]),
    )
    return f"{unit}\n{_CRON.format(cron=cron, ingest=_cron_line(ingest), rebuild=_cron_line(rebuild))}"


def _unit_word(word: str) -> str:
    """One word as systemd reads it: ``%`` and ``$`` doubled, in quotes."""
    doubled = word.replace("%", "%%").replace("$", "$$")
    escaped = doubled.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _cron_line(command: str) -> str:
    """A command as a crontab has it, where a bare ``%`` would end it."""
    return command.replace("%", "\\%")
