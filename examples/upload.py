"""Takes files and keeps them: gowsgi examples/upload.py, then curl -T file http://127.0.0.1:8000/name

The directory is $UPLOADS, or ./uploads. The app runs when the whole body has come (it waits in a temporary file), so a
slow client costs no thread. With `--expect-continue app` a client that asks first (curl does, by Expect: 100-continue)
is refused before it sends; its upload then occupies a thread while it comes.
"""

import hashlib
import os
import re
import tempfile
from pathlib import Path

ROOT = Path(os.environ.get("UPLOADS", "uploads")).resolve()
LIMIT = int(os.environ.get("UPLOAD_LIMIT", 100 * 1024 * 1024))
ROOT.mkdir(parents=True, exist_ok=True)


def answer(start_response, status, text, *headers):
    body = text.encode() + b"\n"
    start_response(status, [("Content-Type", "text/plain"), ("Content-Length", str(len(body))), *headers])
    return [body]


def application(environ, start_response):
    name = environ["PATH_INFO"].lstrip("/")
    if environ["REQUEST_METHOD"] != "PUT":
        return answer(start_response, "405 Method Not Allowed", "PUT /name, please", ("Allow", "PUT"))
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}", name):
        return answer(start_response, "400 Bad Request", "a name has letters, digits, dots, dashes and underscores")
    if int(environ.get("CONTENT_LENGTH") or 0) > LIMIT:
        return answer(start_response, "413 Content Too Large", f"no more than {LIMIT} bytes")
    digest, size = hashlib.sha256(), 0
    # Written beside its place and renamed at the end: nobody ever sees half a file.
    with tempfile.NamedTemporaryFile(dir=str(ROOT), prefix=".", delete=False) as file:
        try:
            while True:
                piece = environ["wsgi.input"].read(1 << 20)
                if not piece:
                    break
                size += len(piece)
                if size > LIMIT:
                    # A chunked upload, which tells no length beforehand.
                    os.unlink(file.name)
                    return answer(start_response, "413 Content Too Large", f"no more than {LIMIT} bytes")
                digest.update(piece)
                file.write(piece)
            os.replace(file.name, str(ROOT / name))
        except BaseException:
            if os.path.exists(file.name):
                os.unlink(file.name)
            raise
    return answer(start_response, "201 Created", f"{digest.hexdigest()}  {size} bytes")
