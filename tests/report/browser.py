"""The browser that is here, told to load, measure, picture and print a page."""

from __future__ import annotations

import re
import shutil
import struct
import subprocess
from pathlib import Path

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
HANG_SECONDS = 120
# A frame has any width, which the window of a browser without a screen has not.
_FRAME = """\
<!doctype html>
<style>body {{ margin: 0 }} iframe {{ border: 0; width: {width}px; height: {height} }}</style>
<iframe src="{address}"></iframe>
<pre hidden></pre>
<script>
  onload = () => {{
    const page = document.querySelector("iframe").contentDocument;
    document.querySelector("pre").textContent = page.documentElement.offsetHeight;
  }};
</script>
"""


def find() -> str | None:
    """The first browser on the PATH that these tests know."""
    return next(filter(None, map(shutil.which, NAMES)), None)


def look(browser: str, place: Path, file: str, *options: str) -> subprocess.CompletedProcess[str]:
    """Load a file of a directory; standard error has what the console says."""
    return load(browser, place, (place / file).as_uri(), *options)


def load(
    browser: str, place: Path, address: str, *options: str
) -> subprocess.CompletedProcess[str]:
    """Load a page; `place` is where the browser may keep its profile."""
    return subprocess.run(
        [
            browser,
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--hide-scrollbars",
            "--allow-file-access-from-files",
            "--enable-logging=stderr",
            f"--user-data-dir={place / 'profile'}",
            *options,
            address,
        ],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=HANG_SECONDS,
        check=True,
    )


def png_size(content: bytes) -> tuple[int, int]:
    """Width and height of a picture."""
    width, height = struct.unpack(">II", content[16:24])
    return width, height


def scheme(*, dark: bool) -> str:
    """The option for a user who wants pages dark, or light."""
    return f"--blink-settings=preferredColorScheme={0 if dark else 1}"


def picture(
    browser: str,
    page: Path,
    target: Path,
    *,
    width: int,
    height: int = 0,
    dark: bool = False,
    part: str = "",
) -> None:
    """A picture of the page as wide as that; as high as the page where no height is given.

    It begins with the element whose id is `part`, if one is named.
    """
    address = f"{page.name}#{part}"
    frame = page.with_name("frame.html")
    if not height:
        frame.write_text(_FRAME.format(address=address, width=width, height="100px"))
        told = look(browser, page.parent, frame.name, "--virtual-time-budget=5000", "--dump-dom")
        found = re.search(r"<pre[^>]*>(\d+)</pre>", told.stdout)
        assert found is not None, told.stderr
        height = int(found[1]) + 40
    frame.write_text(_FRAME.format(address=address, width=width, height="100vh"))
    look(
        browser,
        page.parent,
        frame.name,
        f"--screenshot={target}",
        f"--window-size={width},{height}",
        scheme(dark=dark),
    )
    frame.unlink()
