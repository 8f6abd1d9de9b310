"""Where a handler connects to, out of Mongrel2's configuration database."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    import sqlite3

__all__ = ["Found", "find"]


# Seconds for somebody who writes to it.
WAIT = 5.0


class Found(NamedTuple):
    """A row of the table handler, with endpoints that one can connect to."""

    send_spec: str
    recv_spec: str
    recv_ident: str
    chroot: str
    upload_store: str | None


def find(db: Any, server: str | None, handler_id: int | None, host: str | None, route: str | None) -> Found:
    """Connection.from_config's arguments."""
    import sqlite3  # which not every Python has

    path = os.fsdecode(db)
    if not os.path.exists(path):
        raise FileNotFoundError(f"there is no {path}")
    try:
        database = sqlite3.connect(Path(os.path.abspath(path)).as_uri() + "?mode=ro", uri=True, timeout=WAIT)
        try:
            # As dictionaries: older configurations have fewer columns.
            database.row_factory = lambda cursor, row: {d[0]: value for d, value in zip(cursor.description, row)}
            return _find(database, server, handler_id, host, route)
        finally:
            database.close()
    except sqlite3.Error as problem:
        raise LookupError(f"{path} cannot be read as a configuration of Mongrel2's: {problem}") from None
    except KeyError as problem:
        raise LookupError(f"{path} is no configuration of Mongrel2's: a column {problem} is missing") from None


def _find(
    database: sqlite3.Connection, server: str | None, handler_id: int | None, host: str | None, route: str | None
) -> Found:
    servers = database.execute("SELECT * FROM server ORDER BY id").fetchall()
    row = _only([s for s in servers if server is None or server in (s["uuid"], s.get("name"))], "server", server)
    if handler_id is not None:
        found = database.execute("SELECT * FROM handler WHERE id = ?", (handler_id,)).fetchone()
        if found is None:
            raise LookupError(f"there is no handler {handler_id}")
    else:
        found = _by_route(database, row, host, route)
    store = database.execute("SELECT value FROM setting WHERE key = 'upload.temp_store'").fetchone()
    return Found(
        _reachable(found["send_spec"], row),
        _reachable(found["recv_spec"], row),
        found.get("recv_ident") or "",
        row.get("chroot") or "",
        store and store["value"],
    )


def _only(rows: list[Any], what: str, name: object) -> Any:
    if len(rows) == 1:
        return rows[0]
    named = "" if name is None else f" {name!r}"
    if rows:
        raise LookupError(f"there are {len(rows)} rows for {what}{named}: say which one is meant")
    raise LookupError(f"there is no {what}{named}")


def _by_route(database: sqlite3.Connection, server: Any, host: str | None, route: str | None) -> Any:
    hosts = database.execute("SELECT * FROM host WHERE server_id = ? ORDER BY id", (server["id"],)).fetchall()
    if host is not None:
        # As Mongrel2 does it: the longest end that matches.
        matching = [h for h in hosts if h["name"] == host or (_ending(h) and host.endswith(_ending(h)))]
        longest = max((len(_ending(h)) for h in matching), default=0)
        hosts = [_only([h for h in matching if len(_ending(h)) == longest], "host", host)]
    routes = []
    for each in hosts:
        routes += database.execute(
            "SELECT handler.*, route.path AS path FROM route JOIN handler ON handler.id = route.target_id"
            " WHERE route.target_type = 'handler' AND route.host_id = ? ORDER BY route.id",
            (each["id"],),
        ).fetchall()
    if route is not None:
        routes = [r for r in routes if route == r["path"] or route.startswith(r["path"].split("(", 1)[0])]
        longest = max((len(r["path"].split("(", 1)[0]) for r in routes), default=0)
        routes = [r for r in routes if r["path"] == route or len(r["path"].split("(", 1)[0]) == longest]
    handlers = {r["id"]: r for r in routes}
    named = " ".join(f"{k} {v!r}" for k, v in (("host", host), ("route", route)) if v is not None) or None
    return _only(list(handlers.values()), "handler", named)


def _ending(host: Any) -> str:
    """What the names of a host end with."""
    return host.get("matching") or ""


def _reachable(spec: str, server: Any) -> str:
    """An endpoint that Mongrel2 binds, as others connect to it."""
    wildcard = re.match(r"tcp://(\*|0\.0\.0\.0|\[::\]|::)(?=:[0-9]+\Z)", spec)
    if wildcard:
        address = server.get("bind_addr") or ""
        if address in ("", "0.0.0.0", "::", "*"):
            address = "::1" if "::" in wildcard[1] else "127.0.0.1"
        if ":" in address:
            address = f"[{address}]"
        spec = f"tcp://{address}{spec[wildcard.end() :]}"
    if spec.startswith("ipc://") and server.get("chroot"):
        inside = os.path.join(server["chroot"], spec[len("ipc://") :].lstrip("/"))
        if os.path.exists(inside):
            return "ipc://" + os.path.abspath(inside)
    return spec
