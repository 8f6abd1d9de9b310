"""Header lists that are lists and a little more: /empty, /subclass with an iterator of its own, /empty-subclass."""


class Strange(list):
    """A list; what it gives to those who iterate is something else."""

    def __iter__(self):
        return iter([("X-Iterated", "yes")])

    def __len__(self):
        return 1


def application(environ, start_response):
    headers = {
        "/empty": [],
        "/subclass": Strange([("X-Own", "yes")]),
        "/empty-subclass": Strange(),
    }[environ["PATH_INFO"]]
    start_response("200 OK", headers)
    return [b"x"]
