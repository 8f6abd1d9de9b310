"""Files of a directory, sent by the kernel: gowsgi examples/download.py

The directory is $DOWNLOADS, or the current one. The app opens the file and hands it over as wsgi.file_wrapper; no
Python thread is busy while a client, however slow, reads it. Range requests work, so a broken download can be resumed.
"""

import html
import mimetypes
import os
import re
from email.utils import formatdate
from pathlib import Path
from urllib.parse import quote

ROOT = Path(os.environ.get("DOWNLOADS", ".")).resolve()


def listing(start_response):
    names = sorted(entry.name for entry in ROOT.iterdir() if entry.is_file() and not entry.name.startswith("."))
    links = "".join(f'<li><a href="/{quote(name)}">{html.escape(name)}</a></li>' for name in names)
    body = f"<!doctype html><title>Downloads</title><ul>{links}</ul>".encode()
    start_response("200 OK", [("Content-Type", "text/html; charset=utf-8"), ("Content-Length", str(len(body)))])
    return [body]


def refuse(start_response, status, headers=()):
    body = status.encode() + b"\n"
    start_response(status, [("Content-Type", "text/plain"), ("Content-Length", str(len(body))), *headers])
    return [body]


def wanted(environ, size):
    """The first and last byte to send; None when no single range is asked for; an IndexError when there is none."""
    match = re.fullmatch(r"bytes=(\d*)-(\d*)", environ.get("HTTP_RANGE", ""))
    if not match or match.group(0) == "bytes=-":
        return None
    first, last = match.groups()
    if not first:
        first, last = max(0, size - int(last)), size - 1
    else:
        first, last = int(first), min(int(last) if last else size - 1, size - 1)
    if first > last:
        raise IndexError(first)
    return first, last


def application(environ, start_response):
    if environ["REQUEST_METHOD"] not in ("GET", "HEAD"):
        return refuse(start_response, "405 Method Not Allowed", [("Allow", "GET, HEAD")])
    # PATH_INFO is bytes read as latin-1; file names are UTF-8.
    name = environ["PATH_INFO"].lstrip("/").encode("latin-1").decode("utf-8", "replace")
    if not name:
        return listing(start_response)
    path = (ROOT / name).resolve()
    # resolve() has followed "..", and symbolic links too: what is left must be a file directly in the directory.
    if path.parent != ROOT or not path.is_file() or path.name.startswith("."):
        return refuse(start_response, "404 Not Found")
    file = path.open("rb")
    size = os.fstat(file.fileno()).st_size
    headers = [
        ("Content-Type", mimetypes.guess_type(path.name)[0] or "application/octet-stream"),
        ("Last-Modified", formatdate(os.fstat(file.fileno()).st_mtime, usegmt=True)),
        ("Accept-Ranges", "bytes"),
    ]
    try:
        span = wanted(environ, size)
    except IndexError:
        file.close()
        return refuse(start_response, "416 Range Not Satisfiable", [("Content-Range", f"bytes */{size}")])
    if span is None:
        start_response("200 OK", [*headers, ("Content-Length", str(size))])
    else:
        first, last = span
        file.seek(first)
        headers += [("Content-Range", f"bytes {first}-{last}/{size}"), ("Content-Length", str(last - first + 1))]
        start_response("206 Partial Content", headers)
    return environ["wsgi.file_wrapper"](file)
