"""Raises at the place the path names: /call, /started, /first, /middle, /sized, /close, /iter, /exit, /interrupt,

/exit_middle, /base, /generator_exit; /deep is a traceback through several frames.
"""


class Planned(Exception):
    pass


class Closing:
    def __init__(self, pieces):
        self.pieces = iter(pieces)

    def __iter__(self):
        return self

    def __next__(self):
        return next(self.pieces)

    def close(self):
        raise Planned("in close")


class NoIter:
    def __iter__(self):
        raise Planned("in iter")


def deep(levels):
    if levels:
        deep(levels - 1)
    raise Planned("at the bottom")


def application(environ, start_response):
    path = environ["PATH_INFO"]
    if path == "/call":
        raise Planned("in call with \u00e9 and \u4e2d")
    if path == "/deep":
        deep(5)
    if path == "/exit":
        raise SystemExit(3)
    if path == "/interrupt":
        raise KeyboardInterrupt
    if path == "/base":
        raise BaseException("not even an Exception")
    headers = [("Content-Type", "text/plain")]
    if path == "/sized":
        headers.append(("Content-Length", "300010"))
    start_response("200 OK", headers)
    if path == "/started":
        raise Planned("after start_response")
    if path == "/close":
        return Closing([b"all", b"of", b"it"])
    if path == "/iter":
        return NoIter()

    def produce():
        if path == "/first":
            raise Planned("before the first piece")
        # More than any buffer that could hold the head back.
        yield b"x" * 300000
        if path == "/exit_middle":
            raise SystemExit(3)
        if path == "/generator_exit":
            raise GeneratorExit
        raise Planned("after the first piece")

    return produce()
