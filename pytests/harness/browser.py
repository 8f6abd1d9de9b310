"""Headless Chromium, driven by chromedriver over its own protocol (W3C WebDriver), which is JSON over HTTP."""

import os
import shutil
import subprocess
import tempfile

import requests

from .server import Stream
from .waiting import LIMIT, wait_until

# Debian's packages chromium and chromium-driver; others have the browser under its vendor's name.
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
ARGUMENTS = [
    "--headless",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
    "--no-proxy-server",
]
ELEMENT = "element-6066-11e4-a52e-4f735466cecf"  # W3C WebDriver, 11: the key of an element's identifier


def missing():
    """Why there is no browser to test with, or None."""
    lacking = [name for name in ("chromedriver", BROWSERS[0]) if not shutil.which(name)]
    if any(shutil.which(name) for name in BROWSERS):
        lacking = [name for name in lacking if name == "chromedriver"]
    if lacking:
        return "{} not on PATH (Debian: apt-get install chromium chromium-driver)".format(" and ".join(lacking))
    return None


class Driver:
    """A chromedriver, from which browsers come; each is a process with a profile of its own."""

    def __init__(self):
        for _ in range(3):
            line = self._begin()
            if line:
                self.url = f"http://127.0.0.1:{int(line.group(1))}"
                return
            self.close()  # the port that it was given for IPv6 may be somebody's for IPv4
        raise AssertionError("no chromedriver: " + self._output.since().decode(errors="replace"))

    def _begin(self):
        self.process = subprocess.Popen(
            ["chromedriver", "--port=0"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        self._output = Stream(self.process.stdout)
        return self._output.wait_for(rb"successfully on port (\d+)", timeout=30)

    def browser(self):
        return Browser(self.url)

    def close(self):
        self.process.terminate()
        self.process.wait(LIMIT)
        self._output.finish()


class Browser:
    def __init__(self, driver):
        self._profile = tempfile.mkdtemp(prefix="gowsgi-browser-")
        arguments = [*ARGUMENTS, "--user-data-dir=" + self._profile]
        if os.geteuid() == 0:
            arguments.append("--no-sandbox")
        program = next(filter(None, map(shutil.which, BROWSERS)))
        wanted = {"browserName": "chrome", "goog:chromeOptions": {"binary": program, "args": arguments}}
        self._session = requests.Session()
        self._session.trust_env = False
        self._url = driver + "/session"
        # A cold start on a busy machine takes seconds.
        self._url += "/" + self._ask("POST", "", {"capabilities": {"alwaysMatch": wanted}}, 50)["sessionId"]
        self._open = True

    def _ask(self, method, path, body=None, timeout=30):
        answer = self._session.request(method, self._url + path, json=body, timeout=timeout)
        value = answer.json()["value"]
        assert answer.status_code == 200, f"{method} {path}: {value}"
        return value

    def open(self, url):
        self._ask("POST", "/url", {"url": url})

    def run(self, script, *arguments):
        """What the body of a function returns, run in the page."""
        return self._ask("POST", "/execute/sync", {"script": script, "args": list(arguments)})

    def wait_for(self, script, *arguments):
        """What it returns as soon as that is true."""
        return wait_until(lambda: self.run(script, *arguments), "true in the browser: " + script)

    def _element(self, selector):
        return self._ask("POST", "/element", {"using": "css selector", "value": selector})[ELEMENT]

    def type(self, selector, text):
        """As from a keyboard; a newline is the enter key."""
        self._ask("POST", f"/element/{self._element(selector)}/value", {"text": text})

    def click(self, selector):
        self._ask("POST", f"/element/{self._element(selector)}/click", {})

    def texts(self, selector):
        return self.run("return [...document.querySelectorAll(arguments[0])].map(e => e.textContent)", selector)

    def close(self):
        if self._open:
            self._open = False
            self._ask("DELETE", "")
            self._session.close()
        shutil.rmtree(self._profile, ignore_errors=True)
