"""The file that ?path= names, by Flask's send_file: whole, or the part that a Range asks for."""

from flask import Flask, request, send_file

application = Flask(__name__)


@application.route("/")
def index():
    return send_file(request.args["path"], mimetype="application/octet-stream", conditional=True)
