"""A generator of ?count= pieces of ?size= bytes, no Content-Length; byte i is i modulo 251. lazy=1 starts within."""

from urllib.parse import parse_qs

PATTERN = bytes(i % 251 for i in range(251 * 1024))


def piece(start, size):
    at = start % 251
    while at + size > len(PATTERN):
        return b"".join(piece(start + i, min(4096, size - i)) for i in range(0, size, 4096))
    return PATTERN[at : at + size]


def application(environ, start_response):
    query = parse_qs(environ["QUERY_STRING"])
    count, size = int(query.get("count", ["3"])[0]), int(query.get("size", ["10"])[0])

    def start():
        headers = [("Content-Type", "application/octet-stream")]
        if "length" in query:
            headers.append(("Content-Length", str(count * size)))
        start_response("200 OK", headers)

    def produce():
        if "lazy" in query:
            start()
        for i in range(count):
            yield piece(i * size, size)

    if "lazy" not in query:
        start()
    return produce()
