"""Takes environ["gunicorn.socket"] and speaks a line protocol of its own on it: echoes lines until "bye"."""


def application(environ, start_response):
    connection = environ["gunicorn.socket"]
    connection.setblocking(True)
    connection.sendall(b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: line-echo\r\n\r\n")
    data = b""
    while not data.endswith(b"bye\n"):
        piece = connection.recv(4096)
        if not piece:
            break
        data += piece
        connection.sendall(b"<" + piece)
    connection.close()
    return []
