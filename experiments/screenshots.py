"""Pictures of a page in a real browser, at the width of a desk and of a telephone, light, dark and printed.

    python -m experiments.screenshots experiments/results/sst2_few_sample/report/report.html OUT

Needs Chromium (Debian: apt-get install chromium).
"""

import html
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

WIDTHS = {"wide": (1280, 2600), "narrow": (390, 4200)}
FIRST = {"wide": (1280, 800), "narrow": (390, 844)}  # what is seen without scrolling
_FRAME = (
    '<!DOCTYPE html><body style="margin:0"><iframe src="{page}" style="border:0;width:{width}px;height:{height}px">'
)


def shoot(page: Path, out: Path) -> list[Path]:
    """Writes the pictures: both widths, whole and first screen, light and dark; and the page as it is printed."""
    browser = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if browser is None:
        raise SystemExit("chromium is not found; Debian has it: apt-get install chromium")
    out.mkdir(parents=True, exist_ok=True)
    made = [_printed(browser, page, out / "print.pdf")]
    for theme in ("light", "dark"):
        for part, sizes in (("", WIDTHS), ("-first", FIRST)):
            for name, size in sizes.items():
                made.append(_shot(browser, page, out / f"{name}{part}-{theme}.png", size, theme == "dark"))
    return made


def _shot(browser: str, page: Path, file: Path, size: tuple[int, int], dark: bool) -> Path:
    """In a frame of the width, since a window of the browser cannot be as narrow as a telephone."""
    width, height = size
    with tempfile.TemporaryDirectory() as folder:
        frame = Path(folder) / "frame.html"
        frame.write_text(_FRAME.format(page=html.escape(page.resolve().as_uri()), width=width, height=height))
        theme = f"--blink-settings=preferredColorScheme={0 if dark else 1}"
        window = f"--window-size={max(width, 500)},{height}"
        _run(browser, folder, window, theme, f"--screenshot={file}", frame.as_uri())
    return file


def _printed(browser: str, page: Path, file: Path) -> Path:
    with tempfile.TemporaryDirectory() as folder:
        _run(browser, folder, "--no-pdf-header-footer", f"--print-to-pdf={file}", page.resolve().as_uri())
    return file


def _run(browser: str, profile: str, *arguments: str) -> None:
    flags = ("--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", f"--user-data-dir={profile}/profile")
    subprocess.run([browser, *flags, *arguments], check=True, capture_output=True, timeout=120)


def main(argv: Sequence[str]) -> int:
    if len(argv) != 2:
        raise SystemExit(__doc__)
    for file in shoot(Path(argv[0]), Path(argv[1])):
        print(file)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
