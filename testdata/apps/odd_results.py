"""Return values that PEP 3333 allows or forbids, by path; see the table at the end."""

import io


class GetItemOnly:
    """The old iteration protocol, still an iterable."""

    def __getitem__(self, index):
        return [b"a", b"b", b"c"][index]


class Bytes(bytes):
    """A subclass is bytes too."""


KINDS = {
    "/empty_list": list,
    "/empty_tuple": lambda: (),
    "/empty_iter": lambda: iter(()),
    "/empty_bytes": lambda: [b""],
    "/empty_chunks": lambda: [b"", b"one", b"", b"two", b""],
    "/empty_chunks_iter": lambda: iter([b"", b"one", b"", b"two", b""]),
    "/bytes": lambda: b"bytes",
    "/bytesio": lambda: io.BytesIO(b"line one\nline two\n"),
    "/getitem": GetItemOnly,
    "/subclass": lambda: [Bytes(b"sub"), Bytes(b"class")],
    "/dict": lambda: {b"key": 1},
    "/none": lambda: None,
    "/number": lambda: 17,
    "/str": lambda: "text",
    "/list_of_str": lambda: ["text"],
    "/list_of_none": lambda: [None],
    "/list_of_int": lambda: [1, 2],
    "/late_str": lambda: [b"x" * 300000, "text"],
    "/late_str_iter": lambda: iter([b"x" * 3000000, "text"]),
    "/no_start": lambda: [b"body"],
    "/no_start_empty": list,
}


def application(environ, start_response):
    path = environ["PATH_INFO"]
    if not path.startswith("/no_start"):
        start_response("200 OK", [("Content-Type", "text/plain")])
    return KINDS[path]()
