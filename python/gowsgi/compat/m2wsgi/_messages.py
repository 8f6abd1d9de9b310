"""Mongrel2's messages as Python has them: netstrings, tnetstrings, and headers in either form.

Text is decoded as latin-1, as PEP 3333 has it: each character is a byte of the client's.
"""

from __future__ import annotations

import json
from typing import Any

__all__ = ["answer", "credits", "parse_headers", "pop_netstring", "pop_tnetstring", "split_request"]

# Deeper than any message of Mongrel2's, and far from Python's own limit.
DEEPEST = 32

# Mongrel2 escapes quotes and backslashes, and no tabs.
_json = json.JSONDecoder(strict=False).decode


def _pop(data: bytes) -> tuple[bytes, bytes, bytes]:
    """What a netstring or tnetstring at the beginning has, its last byte, and what is behind it."""
    size, colon, rest = data.partition(b":")
    if not colon or not size.isdigit() or len(size) > 10:
        raise ValueError("no netstring: there is no length in front of it")
    end = int(size)
    if len(rest) <= end:
        raise ValueError("no netstring: it ends before its length says so")
    return rest[:end], rest[end : end + 1], rest[end + 1 :]


def pop_netstring(data: bytes) -> tuple[bytes, bytes]:
    """The content of the netstring that data begins with, and the rest. ValueError if it begins with none."""
    content, end, rest = _pop(data)
    if end != b",":
        raise ValueError("no netstring: it does not end with a comma")
    return content, rest


def pop_tnetstring(data: bytes) -> tuple[Any, bytes]:
    """The value of the tnetstring that data begins with, and the rest. ValueError if it begins with none.

    Values are bytes, int, float, bool, None, list, and dict with keys of bytes.
    """
    return _pop_value(data, 0)


def _pop_value(data: bytes, depth: int) -> tuple[Any, bytes]:
    if depth > DEEPEST:
        raise ValueError("no tnetstring that is taken: it is nested too deep")
    content, kind, rest = _pop(data)
    if kind == b",":
        return content, rest
    if kind == b"#" and content.lstrip(b"-").isdigit() and len(content) <= 20:
        return int(content), rest
    if kind in (b"#", b"^") and len(content) <= 40:
        return float(content), rest
    if kind == b"!" and content in (b"true", b"false"):
        return content == b"true", rest
    if kind == b"~" and not content:
        return None, rest
    if kind == b"]":
        items = []
        while content:
            item, content = _pop_value(content, depth + 1)
            items.append(item)
        return items, rest
    if kind == b"}":
        fields = {}
        while content:
            key, content = _pop_value(content, depth + 1)
            if not isinstance(key, bytes):
                raise ValueError("no tnetstring: a key is no string")
            fields[key], content = _pop_value(content, depth + 1)
        return fields, rest
    raise ValueError("no tnetstring: its value is not of the type that its last byte names")


def _text(value: Any) -> str:
    """A header's name, or one of its values, whose characters are bytes."""
    if isinstance(value, bytes):
        return value.decode("latin-1")
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    if not isinstance(value, str) or not (value.isascii() or max(value) <= "\xff"):
        raise ValueError("a header is neither text nor a list of it")
    return value


def parse_headers(data: bytes) -> tuple[dict[str, Any], bytes]:
    """The headers that data begins with, JSON in a netstring or a tnetstring's dictionary, and the rest.

    Values are str, or a list of them for a field that was sent more than once. ValueError if they are something else.
    """
    content, rest = pop_tnetstring(data)
    if isinstance(content, bytes):
        content = _json(content.decode("latin-1"))
    if not isinstance(content, dict):
        raise ValueError("the headers are no dictionary")
    headers: dict[str, Any] = {}
    for name, value in content.items():
        if type(value) is str and type(name) is str and value.isascii() and name.isascii():
            headers[name] = value
        elif value != []:
            headers[_text(name)] = [_text(each) for each in value] if isinstance(value, list) else _text(value)
    return headers, rest


def split_request(message: bytes) -> tuple[str, str, bytes]:
    """The server's id, the client's id, and the rest of a request. ValueError if it is none."""
    parts = message.split(b" ", 2)
    if len(parts) != 3 or not parts[0] or not parts[1]:
        raise ValueError("a request begins with the server's id, the client's id and a path")
    return parts[0].decode("latin-1"), parts[1].decode("latin-1"), parts[2]


def credits(count: int) -> bytes:
    """What an answer to ["X", client's id] has, so that so many bytes more of its body come."""
    arguments = b"7:credits,%d:%d#" % (len(str(count)), count)
    command = b"3:ctl,%d:%s}" % (len(arguments), arguments)
    return b"%d:%s]" % (len(command), command)


def answer(server_id: str, client_ids: str, data: bytes) -> bytes:
    """The message that sends data to these clients, whose ids have spaces in between."""
    ids = client_ids.encode("latin-1")
    return b"%s %d:%s, %s" % (server_id.encode("latin-1"), len(ids), ids, data)
