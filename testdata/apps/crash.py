"""/segv, /fpe, /abort, /ill, /bus end the process by that signal; /kill sends SIGSEGV, /thread faults elsewhere.

/again first puts faulthandler above whatever there is; everything else is the app of gate.py.
"""

import faulthandler
import mmap
import os
import signal
import tempfile
import threading

import gate


def bus():
    with tempfile.TemporaryFile() as file:
        file.truncate(mmap.PAGESIZE)
        memory = mmap.mmap(file.fileno(), mmap.PAGESIZE)
        file.truncate(0)
        return memory[0]


def thread():
    started = threading.Thread(target=faulthandler._sigsegv, name="background")
    started.start()
    started.join()


def again():
    faulthandler.disable()
    faulthandler.enable()
    faulthandler._sigsegv()


WAYS = {
    "/segv": faulthandler._sigsegv,
    "/fpe": faulthandler._sigfpe,
    "/abort": os.abort,
    "/ill": lambda: os.kill(os.getpid(), signal.SIGILL),
    "/bus": bus,
    "/kill": lambda: os.kill(os.getpid(), signal.SIGSEGV),
    "/thread": thread,
    "/again": again,
}


def crash_here(way):
    way()


def application(environ, start_response):
    way = WAYS.get(environ["PATH_INFO"])
    if way is not None:
        crash_here(way)
    return gate.application(environ, start_response)
