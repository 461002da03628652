"""A headless Chromium for pages (wide or narrow, light or dark), and axe-core's findings about them."""

import base64
import os
import shutil
import subprocess
import tarfile
from pathlib import Path
from typing import Any

from selenium import webdriver
from selenium.common.exceptions import WebDriverException
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webelement import WebElement

from tests.system.running import until

WIDE, NARROW = 1280, 390
"""Pixels: a desktop, a phone."""
_FLAGS = ("--headless=new", "--disable-gpu", "--disable-dev-shm-usage", "--disable-extensions", "--no-first-run")
_AUDIT = "const done = arguments[0]; axe.run().then(found => done(found.violations), error => done(String(error)))"


class Browser:
    """One Chromium; `close` ends it."""

    def __init__(self) -> None:
        options = webdriver.ChromeOptions()
        options.binary_location = shutil.which("chromium") or ""
        for flag in (*_FLAGS, *(["--no-sandbox"] if os.geteuid() == 0 else [])):
            options.add_argument(flag)
        self._driver = webdriver.Chrome(options, Service(shutil.which("chromedriver")))

    def close(self) -> None:
        """End it."""
        self._driver.quit()

    def look(self, url: str, width: int = WIDE, *, dark: bool = False) -> None:
        """Open a page in a window of this width."""
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        window = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width == NARROW}
        self._driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [scheme]})
        self._driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", window)
        self._driver.get(url)

    def picture(self, path: Path, height: int) -> None:
        """Save what the top of the page looks like, so many pixels high, as PNG."""
        clip = {"x": 0, "y": 0, "width": WIDE, "height": height, "scale": 1}
        picture = self._driver.execute_cdp_cmd("Page.captureScreenshot", {"clip": clip, "captureBeyondViewport": True})
        path.write_bytes(base64.b64decode(picture["data"]))

    @property
    def text(self) -> str:
        """Return the visible text."""
        return self._driver.find_element(By.TAG_NAME, "body").text

    def shows(self, words: str) -> bool:
        """Wait until a reader sees these words: what was pressed may lead to another page."""
        until(f"the page shows {words!r}", lambda: self._has(words))
        return True

    def _has(self, words: str) -> bool:
        try:
            return words in self.text
        except WebDriverException:
            return False

    @property
    def overhang(self) -> int:
        """By how many pixels the page is wider than its window."""
        return int(
            self._driver.execute_script(
                "const page = document.documentElement; return page.scrollWidth - page.clientWidth"
            )
        )

    def all(self, css: str) -> list[WebElement]:
        """Return the elements that a selector names."""
        return self._driver.find_elements(By.CSS_SELECTOR, css)

    def press(self, words: str) -> None:
        """Press the first visible button, link or summary that says these words."""
        said = f"[contains(normalize-space(.), '{words}')]"
        found = self._driver.find_elements(By.XPATH, f"//button{said} | //main//a{said} | //summary{said}")
        next(one for one in found if one.is_displayed()).click()

    def fill(self, name: str, words: str) -> None:
        """Write into a field and send its form off."""
        field = self._driver.find_element(By.NAME, name)
        field.send_keys(words)
        field.submit()

    def write(self, name: str, words: str, place: int = 0) -> None:
        """Write into one of the fields of a name."""
        self._driver.find_elements(By.NAME, name)[place].send_keys(words)

    def unfold(self) -> None:
        """Open everything that is folded."""
        self._driver.execute_script("document.querySelectorAll('details').forEach(one => one.open = true)")

    def audit(self, axe: str) -> list[str]:
        """Return what axe-core finds, each as the rule and the first place."""
        self._driver.execute_script(axe)
        found: Any = self._driver.execute_async_script(_AUDIT)
        assert isinstance(found, list), found
        return [f"{one['id']}: {one['nodes'][0]['html'][:200]}" for one in found]


def axe_core(folder: Path) -> str:
    """Fetch axe-core with npm; "" where that is not possible."""
    if shutil.which("npm") is None:
        return ""
    command = ["npm", "pack", "--silent", "axe-core@4"]
    try:
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True, timeout=120)
    except subprocess.SubprocessError:
        return ""
    with tarfile.open(folder / done.stdout.strip().splitlines()[-1]) as archive:
        script = archive.extractfile("package/axe.min.js")
        return script.read().decode() if script else ""
