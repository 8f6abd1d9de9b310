"""Twenty pages fetched at once, by one request on one thread: gowsgi examples/fetch_urls.py

patch_all() has Python's own sockets, host names and queues wait without the thread, and so all that is built on them:
urllib here, requests, http.client or a database's client as well. spawn() has a function run beside the request. Each
result is sent as it comes; curl -N http://127.0.0.1:8000/ shows it. $URLS are the addresses, separated by spaces.
"""

from gowsgi import patch, spawn

patch.patch_all()  # first: what is imported below is to find the sockets that wait

import html  # noqa: E402
import os  # noqa: E402
import queue  # noqa: E402
import time  # noqa: E402
import urllib.request  # noqa: E402

PAGES = [f"https://peps.python.org/pep-{number:04}/" for number in range(3100, 3120)]
URLS = os.environ.get("URLS", " ".join(PAGES)).split()
TIMEOUT = float(os.environ.get("FETCH_TIMEOUT", "20"))


def fetch(url, results):
    try:
        with urllib.request.urlopen(url, timeout=TIMEOUT) as answer:
            results.put((url, f"{answer.status}, {len(answer.read())} bytes"))
    except Exception as problem:  # whatever it is, somebody waits for a result
        results.put((url, f"{type(problem).__name__}: {problem}"))


def page():
    began = time.monotonic()
    results = queue.Queue()
    for url in URLS:
        spawn(fetch, (url, results))
    yield f"<!doctype html><title>{len(URLS)} pages</title><ol>\n".encode()
    for _ in URLS:
        url, result = results.get()
        yield f"<li>{html.escape(url)}: {html.escape(result)}, after {time.monotonic() - began:.2f} s\n".encode()
    yield b"</ol>\n"


def application(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/html; charset=utf-8")])
    return page()
