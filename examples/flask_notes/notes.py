"""Notes in a database: gowsgi --threads 4 --chdir examples/flask_notes notes:app

The database is $NOTES_DB, or notes.sqlite in the current directory. Each request has a connection of its own.
"""

import os
import sqlite3

from flask import Flask, abort, g, jsonify, redirect, render_template, request, url_for

app = Flask(__name__)
DATABASE = os.environ.get("NOTES_DB", "notes.sqlite")


def database():
    if "database" not in g:
        g.database = sqlite3.connect(DATABASE, timeout=20)
        g.database.row_factory = sqlite3.Row
    return g.database


@app.teardown_appcontext
def close_database(_error):
    connection = g.pop("database", None)
    if connection is not None:
        connection.close()


with sqlite3.connect(DATABASE, timeout=20) as setup:
    setup.execute("PRAGMA journal_mode=WAL")
    setup.execute(
        "CREATE TABLE IF NOT EXISTS note (id INTEGER PRIMARY KEY, text TEXT NOT NULL, "
        "written TEXT NOT NULL DEFAULT CURRENT_TIMESTAMP)"
    )
setup.close()


@app.get("/")
def index():
    notes = database().execute("SELECT * FROM note ORDER BY id DESC LIMIT 100").fetchall()
    return render_template("notes.html", notes=notes)


@app.post("/")
def add():
    text = request.form.get("text", "").strip()
    if not text:
        abort(400, "an empty note is none")
    with database():
        database().execute("INSERT INTO note (text) VALUES (?)", (text,))
    return redirect(url_for("index"))


@app.get("/api/notes")
def api_list():
    return jsonify([dict(note) for note in database().execute("SELECT * FROM note ORDER BY id")])


@app.post("/api/notes")
def api_add():
    text = (request.get_json(silent=True) or {}).get("text")
    if not isinstance(text, str) or not text.strip():
        abort(400, "text is missing")
    with database():
        cursor = database().execute("INSERT INTO note (text) VALUES (?)", (text,))
    return jsonify(id=cursor.lastrowid, text=text), 201


@app.delete("/api/notes/<int:number>")
def api_delete(number):
    with database():
        found = database().execute("DELETE FROM note WHERE id = ?", (number,)).rowcount
    return ("", 204) if found else abort(404)
