"""A page as PDF, printed by a Chromium that is on this machine."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from tempfile import TemporaryDirectory

from pipelines.store.parts import whole_file
from schemas.errors import MeterbeamError

__all__ = ["print_page"]

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "microsoft-edge")
FLAGS = ("--headless", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run", "--no-pdf-header-footer")
LONGEST_S = 120
"""A browser that prints no page in this time hangs."""


def print_page(html: str, out: Path) -> None:
    """Print a self-contained page.

    Args:
        html: The page.
        out: The PDF file.

    Raises:
        MeterbeamError: There is no Chromium on the path, or it prints nothing.
    """
    browser = next((path for name in BROWSERS if (path := shutil.which(name))), None)
    if browser is None:
        expected = f"one of {', '.join(BROWSERS)} on the path (on Debian: apt-get install chromium)"
        raise MeterbeamError(f"{out}: PDF", "no browser that prints", expected)
    with TemporaryDirectory(prefix="meterbeam-print-") as folder:
        page, printed = Path(folder) / "page.html", Path(folder) / "page.pdf"
        page.write_text(html, "utf-8")
        # Chromium has no sandbox for root; the page has no script and loads nothing.
        root = ["--no-sandbox"] if os.geteuid() == 0 else []
        where = [f"--user-data-dir={folder}/profile", f"--print-to-pdf={printed}", page.as_uri()]
        try:
            done = subprocess.run(  # noqa: S603 a browser of the path, our own page
                [browser, *FLAGS, *root, *where], capture_output=True, timeout=LONGEST_S, check=False
            )
        except subprocess.TimeoutExpired as error:
            raise MeterbeamError(f"{out}: PDF", f"{browser} hung", f"a page in {LONGEST_S} s") from error
        if not printed.is_file():
            said = done.stderr.decode(errors="replace").strip().splitlines()
            found = said[-1] if said else f"exit code {done.returncode}"
            raise MeterbeamError(f"{out}: PDF", f"{browser}: {found}", "a printed page")
        with whole_file(out) as target:
            target.write(printed.read_bytes())
