"""A Falcon app: media, streams in both directions, errors."""

import hashlib
import io

import falcon


class Item:
    def on_get(self, req, resp, number):
        resp.media = {"number": number, "q": req.get_param("q"), "forwarded": req.forwarded_host}

    def on_post(self, req, resp, number):
        resp.media = {"number": number, "got": req.media}
        resp.status = falcon.HTTP_201
        resp.set_header("Location", f"/item/{number}")


class Blob:
    def on_put(self, req, resp):
        digest, size = hashlib.sha256(), 0
        while True:
            piece = req.bounded_stream.read(4096)
            if not piece:
                break
            digest.update(piece)
            size += len(piece)
        resp.media = {"size": size, "sha256": digest.hexdigest()}

    def on_get(self, req, resp):
        resp.content_type = "application/octet-stream"
        resp.set_stream(io.BytesIO(b"falcon" * 50000), 300000)


class Broken:
    def on_get(self, req, resp):
        raise RuntimeError("a responder that fails on purpose")


application = falcon.App()
application.add_route("/item/{number:int}", Item())
application.add_route("/blob", Blob())
application.add_route("/broken", Broken())
