"""A job that tells its progress to whoever waits: DATA=. gowsgi examples/progress.py, then http://127.0.0.1:8000/

The job is the SHA-256 of a file in $DATA, in a thread of its own. All who have the file's page open see how far it is,
by server-sent events: generators that are suspended until there is something to tell, and keep no thread meanwhile. A
page may be opened before the job begins, while it runs, and when it is done. Without the package greenlet each of them
keeps a thread.
"""

import hashlib
import html
import json
import os
import threading
from pathlib import Path
from urllib.parse import quote

from gowsgi import ContinuationError, Disconnected, Timeout
from gowsgi.middleware import CONTINUATION_KEY, ContinuationMiddleware

DATA = Path(os.environ.get("DATA", ".")).resolve()
PIECE = 1 << 20
# Now and then something is sent, so that no proxy takes the silence for an end.
SILENCE = float(os.environ.get("SILENCE", "15"))
PAGE = """<!doctype html><meta charset="utf-8"><title>Progress</title>
<h1></h1><p><progress></progress> <output></output><p><button>Begin</button>
<script>
const show = selector => document.querySelector(selector)
show("h1").textContent = decodeURIComponent(location.pathname.slice(1))
show("button").onclick = () => fetch(location.pathname + "/job", { method: "POST" })
const events = new EventSource(location.pathname + "/events")
onpagehide = () => events.close()  // browsers keep a page for the case that somebody comes back to it
onpageshow = event => event.persisted && location.reload()
events.onmessage = event => {
  const job = JSON.parse(event.data)
  show("progress").max = job.size
  show("progress").value = job.done
  show("output").textContent = job.result || `${job.done} of ${job.size} bytes`
  if (job.result) events.close()  // or the browser would ask again
}
</script>
"""


class Job:
    def __init__(self, path):
        self.path = path
        self.state = {"size": path.stat().st_size, "done": 0, "result": None}
        self.begun = False
        self.watchers = set()
        self.lock = threading.Lock()  # nobody suspends while holding it

    def begin(self):
        with self.lock:
            begun, self.begun = self.begun, True
        if not begun:
            threading.Thread(target=self._run, daemon=True).start()

    def _run(self):
        digest, done = hashlib.sha256(), 0
        try:
            with open(str(self.path), "rb", buffering=0) as file:
                for piece in iter(lambda: file.read(PIECE), b""):
                    digest.update(piece)
                    done += len(piece)
                    self._tell(done=done)
        except OSError as problem:
            self._tell(result=str(problem))
        else:
            self._tell(result=digest.hexdigest())

    def _tell(self, **changes):
        with self.lock:
            self.state = dict(self.state, **changes)
            for watcher in self.watchers:
                try:
                    watcher.resume()
                except ContinuationError:  # it is about to go on already
                    pass
            self.watchers.clear()

    def events(self, watcher):
        """The state, now and whenever it has changed, until there is a result or the client has left."""
        seen = None
        while not (seen and seen["result"]):
            with self.lock:
                state = self.state
                if state is seen:
                    self.watchers.add(watcher)
            if state is not seen:
                seen = state
                yield f"data: {json.dumps(state)}\n\n".encode()
                continue
            try:
                watcher.suspend(SILENCE)
            except Timeout:
                yield b": nothing new\n\n"
            except Disconnected:
                return
            finally:
                with self.lock:
                    self.watchers.discard(watcher)


jobs = {}


def job_for(name):
    if name in jobs or not (DATA / name).is_file() or "/" in name:
        return jobs.get(name)
    return jobs.setdefault(name, Job(DATA / name))


def answer(start_response, text, kind="text/html; charset=utf-8", status="200 OK"):
    body = text.encode()
    start_response(status, [("Content-Type", kind), ("Content-Length", str(len(body)))])
    return [body]


def application(environ, start_response):
    name, _, what = environ["PATH_INFO"][1:].encode("latin-1").decode("utf-8", "replace").partition("/")
    if not name:
        names = sorted(entry.name for entry in DATA.iterdir() if entry.is_file())
        links = "".join(f'<li><a href="/{quote(n)}">{html.escape(n)}</a>' for n in names)
        return answer(start_response, f"<!doctype html><title>Files</title><ul>{links}</ul>")
    job = job_for(name)
    if job and what == "":
        return answer(start_response, PAGE)
    if job and what == "job" and environ["REQUEST_METHOD"] == "POST":
        job.begin()
        return answer(start_response, "begun\n", "text/plain", "202 Accepted")
    if job and what == "job":
        return answer(start_response, json.dumps(dict(job.state, watchers=len(job.watchers))), "application/json")
    if job and what == "events":
        start_response("200 OK", [("Content-Type", "text/event-stream"), ("Cache-Control", "no-store")])
        return job.events(environ[CONTINUATION_KEY])
    return answer(start_response, "there is nothing here\n", "text/plain", "404 Not Found")


application = ContinuationMiddleware(application)
