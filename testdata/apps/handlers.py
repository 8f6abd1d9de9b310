"""Handlers of its own, from import and from a request; answers which signals have one off the stack for signals."""

import ctypes
import json
import signal
from signal import signal as kept_from_before

SA_ONSTACK = 0x08000000
MASK = 128  # bytes of a sigset_t in glibc; sa_flags follows sa_handler and sa_mask

kept_from_before(signal.SIGUSR1, lambda number, frame: None)
libc = ctypes.CDLL(None)


def off_stack():
    found = []
    for number in range(1, 32):
        action = ctypes.create_string_buffer(512)
        if libc.sigaction(number, None, action) == 0:
            handler = ctypes.c_void_p.from_buffer(action).value or 0
            flags = ctypes.c_int.from_buffer(action, ctypes.sizeof(ctypes.c_void_p) + MASK).value
            if handler > 1 and not flags & SA_ONSTACK:
                found.append(signal.Signals(number).name)
    return found


def application(environ, start_response):
    if environ["PATH_INFO"].endswith("/install"):
        signal.signal(signal.SIGUSR2, lambda number, frame: None)
    body = json.dumps(off_stack()).encode()
    start_response("200 OK", [("Content-Type", "application/json"), ("Content-Length", str(len(body)))])
    return [body]
