"""A response of three blocks at /blocks, of one anywhere else; each says the path it is for."""


def application(environ, start_response):
    path = environ["PATH_INFO"].encode()
    start_response("200 OK", [("Content-Type", "text/plain")])
    if path == b"/blocks":
        return (path + b"%d" % n for n in range(3))
    return [path]
