"""Pages as PDF, printed by a browser that is installed: the print style of a report is written for one."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Final

from linkage.errors import OutputError

BROWSERS: Final = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "microsoft-edge")
"""Programs that print without a window, in the order in which they are looked for."""

_PATIENCE_S: Final = 180
_HOW: Final = ("--headless", "--disable-gpu", "--disable-extensions", "--no-first-run", "--no-pdf-header-footer")


def find_browser() -> str:
    """The path of a browser that prints.

    Raises
    ------
    OutputError : there is none.
    """
    for name in BROWSERS:
        if path := shutil.which(name):
            return path
    raise OutputError(
        f"wanted a browser to print PDF with; found none of {', '.join(BROWSERS)}. "
        "Install one (on Debian: apt-get install chromium), or leave out --pdf and print the HTML page"
    )


def print_page(page: Path, *, browser: str) -> bytes:
    """A page as PDF. The bytes differ from time to time: the browser writes the date into them.

    Parameters
    ----------
    page : an HTML file; its policy lets it load nothing.
    browser : see :func:`find_browser`.

    Raises
    ------
    OutputError : the browser fails, or takes longer than three minutes.
    """
    with tempfile.TemporaryDirectory(prefix="linkage-") as folder:
        made = Path(folder) / "page.pdf"
        # Chromium does not start as root with its sandbox; the pages run no script but our own.
        rights = ["--no-sandbox"] if hasattr(os, "geteuid") and os.geteuid() == 0 else []
        place = [f"--user-data-dir={folder}/profile", f"--print-to-pdf={made}", page.absolute().as_uri()]
        try:
            subprocess.run([browser, *_HOW, *rights, *place], check=True, capture_output=True, timeout=_PATIENCE_S)  # noqa: S603
            return made.read_bytes()
        except (OSError, subprocess.SubprocessError) as error:
            told = (getattr(error, "stderr", None) or b"").decode(errors="replace").strip().splitlines()
            why = told[-1] if told else str(error)
            raise OutputError(
                f"{page.name}: wanted it as PDF; {Path(browser).name} did not print it ({why}). "
                "Open the HTML page in a browser and print it there"
            ) from error
