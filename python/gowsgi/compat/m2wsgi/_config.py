"""Where a handler connects to, out of Mongrel2's configuration database."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    import sqlite3

__all__ = ["Found", "find"]


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

    if not os.path.exists(db):
        raise FileNotFoundError(f"there is no {os.fspath(db)}")
    database = sqlite3.connect(Path(os.path.abspath(db)).as_uri() + "?mode=ro", uri=True)
    try:
        database.row_factory = sqlite3.Row
        return _find(database, server, handler_id, host, route)
    except sqlite3.Error as problem:
        raise LookupError(f"{os.fspath(db)} is no configuration of Mongrel2's: {problem}") from None
    finally:
        database.close()


def _find(
    database: sqlite3.Connection, server: str | None, handler_id: int | None, host: str | None, route: str | None
) -> Found:
    servers = database.execute("SELECT * FROM server ORDER BY id").fetchall()
    row = _only([s for s in servers if server is None or server in (s["uuid"], s["name"])], "server", server)
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
        found["recv_ident"] or "",
        row["chroot"] or "",
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
        matching = [h for h in hosts if h["name"] == host or (h["matching"] and host.endswith(h["matching"]))]
        longest = max((len(h["matching"] or "") for h in matching), default=0)
        hosts = [_only([h for h in matching if len(h["matching"] or "") == longest], "host", host)]
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


def _reachable(spec: str, server: Any) -> str:
    """An endpoint that Mongrel2 binds, as others connect to it."""
    address = server["bind_addr"] or ""
    if address in ("", "0.0.0.0", "::", "*"):
        address = "127.0.0.1"
    spec = re.sub(r"^tcp://(\*|0\.0\.0\.0|\[::\])(?=:)", f"tcp://{address}", spec)
    if spec.startswith("ipc://") and server["chroot"]:
        inside = os.path.join(server["chroot"], spec[len("ipc://") :].lstrip("/"))
        if os.path.exists(inside):
            return "ipc://" + os.path.abspath(inside)
    return spec
