"""A response of three blocks at /blocks, of one anywhere else; each says its path, /may whether it may suspend."""


def application(environ, start_response):
    path = environ["PATH_INFO"].encode()
    start_response("200 OK", [("Content-Type", "text/plain")])
    if path == b"/blocks":
        return (path + b"%d" % n for n in range(3))
    if path == b"/may":
        import _gowsgi

        return [b"%d %d" % (_gowsgi.enable_suspend(), _gowsgi.suspendable())]
    return [path]
