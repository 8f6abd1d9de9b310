"""The write callable: /only, /big, /then_list (then an iterable), /then_file, /length (declared), /many, /late."""


def application(environ, start_response):
    path = environ["PATH_INFO"]
    headers = [("Content-Type", "text/plain")]
    if path == "/length":
        headers.append(("Content-Length", "10"))
    write = start_response("200 OK", headers)
    if path == "/many":
        for i in range(1000):
            write(b"%d," % i)
        return []
    if path == "/big":
        for _ in range(700):
            write(b"x" * 30000)
        return []
    if path == "/late":
        # Allowed: write is also called while the iterable runs.
        def produce():
            write(b"one,")
            yield b"two,"
            write(b"three,")
            yield b"four"

        return produce()
    if path == "/wrong":
        write("text instead of bytes")
    write(b"hello")
    write(b"")
    write(b"there")
    if path == "/then_file":
        return environ["wsgi.file_wrapper"](open(__file__, "rb"))
    return [b", list"] if path == "/then_list" else []
