"""A Flask app with the things apps do: forms, cookies, sessions, JSON, streaming, files, errors, hooks."""

import hashlib
import io

from flask import Flask, Response, abort, jsonify, request, send_file, session, stream_with_context, url_for

app = Flask(__name__)
app.secret_key = "for tests only"


@app.get("/")
def index():
    return "Hello from Flask"


@app.get("/url")
def url():
    return url_for("item", number=7, _external=True, q="ü")


@app.get("/item/<int:number>")
def item(number):
    return jsonify(number=number, args=request.args.to_dict())


@app.get("/path/<path:rest>")
def path(rest):
    return rest


@app.post("/form")
def form():
    return jsonify(form=request.form.to_dict(), cookies=request.cookies)


@app.post("/json")
def json():
    return jsonify(request.get_json())


@app.post("/upload")
def upload():
    file = request.files["file"]
    data = file.read()
    return jsonify(
        name=file.filename, size=len(data), sha256=hashlib.sha256(data).hexdigest(), text=request.form["text"]
    )


@app.get("/session")
def visits():
    session["visits"] = session.get("visits", 0) + 1
    return str(session["visits"])


@app.get("/stream")
def stream():
    @stream_with_context
    def produce():
        for number in range(int(request.args["count"])):
            yield f"{number},"

    return Response(produce(), mimetype="text/plain")


@app.get("/download")
def download():
    data = bytes(range(256)) * 1000
    return send_file(io.BytesIO(data), mimetype="application/octet-stream", as_attachment=True, download_name="d.bin")


@app.get("/source")
def source():
    return send_file(__file__, mimetype="text/plain", conditional=True)


@app.get("/broken")
def broken():
    raise RuntimeError("a view that fails on purpose")


@app.get("/teapot")
def teapot():
    abort(418)
