"""Calls start_response, or early_hints, while it is being called; the body says what the second call raised.

/list: from the iterator that is the list of headers; /thread: from there, by another thread; /repr: from the repr() of
a header in an error message; /status: from that of a status; /hints: early_hints from its own list; /ended: a thread is
still in start_response when its request has ended, /leave: it goes on, in another request.
"""

import threading

LONG = "x" * 3000
inside, leave, left = threading.Event(), threading.Event(), threading.Event()
late = []


def enter(start_response, note):
    """Call it again, with so much that the memory for heads has to move."""
    try:
        start_response("200 Inner", [("X-Inner", LONG)] * 20)
        note.append("nothing")
    except Exception as error:
        note.append(type(error).__name__)


class Again:
    def __init__(self, start_response, note):
        self.start_response, self.note = start_response, note

    def __repr__(self):
        enter(self.start_response, self.note)
        return "again"


def headers(start_response, note, by_thread):
    yield "X-Before", LONG
    if by_thread:
        thread = threading.Thread(target=enter, args=(start_response, note))
        thread.start()
        thread.join()
    else:
        enter(start_response, note)
    for _ in range(3):
        yield "X-After", LONG


def hint_list(early_hints, note):
    yield "Link", "</a>"
    try:
        early_hints([("Link", "</inner>" + LONG)] * 20)
        note.append("nothing")
    except Exception as error:
        note.append(type(error).__name__)
    yield "Link", "</b>"


def waiting_headers():
    yield "X-Late", LONG
    inside.set()
    leave.wait(10)
    yield "X-Late", LONG


def start_late(start_response):
    try:
        start_response("200 Late", waiting_headers())
        late.append("nothing")
    except Exception as error:
        late.append(type(error).__name__)
    left.set()


def application(environ, start_response):
    path, note = environ["PATH_INFO"], []
    if path == "/ended":
        thread = threading.Thread(target=start_late, args=(start_response,))
        thread.start()
        inside.wait(10)
        raise ValueError("planned")  # nothing of the response exists
    if path == "/leave":
        leave.set()
        left.wait(10)
        note = late
    elif path in ("/list", "/thread"):
        start_response("200 Outer", headers(start_response, note, path == "/thread"))
        return [" ".join(note).encode()]
    elif path == "/hints":
        environ["wsgi.early_hints"](hint_list(environ["wsgi.early_hints"], note))
    elif path in ("/repr", "/status"):
        again = Again(start_response, note)
        try:
            if path == "/repr":
                start_response("200 Outer", [("X-Before", LONG), again])
            else:
                start_response(again, [("X-Before", LONG)])
        except Exception as error:
            note.append(type(error).__name__)
    start_response("200 Outer", [("X-Outer", "yes")])
    return [" ".join(note).encode()]
