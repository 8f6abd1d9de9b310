"""A gowsgi behind a real Mongrel2, to be asked as a Server that listens itself is."""

from .mongrel2 import Handler, Mongrel2
from .server import Server

SETTINGS = {
    "download.flow_control": 1,
    "upload.temp_store": "/uploads/body.XXXXXX",
    "limits.content_length": 20480,
    "limits.client_read_retries": 1000,  # a head may come in so many pieces; else in five
}


class Behind(Server):
    """As Server; port and url are Mongrel2's."""

    def __init__(self, form, app, *options, settings=None, bind=None, **keywords):
        self.mongrel2 = Mongrel2(Handler("/"), settings=dict(SETTINGS, **(settings or {})))
        handler = self.mongrel2.handlers[0]
        specs = ["--mongrel2", f"{handler.send_spec},{handler.recv_spec}", "--mongrel2-chroot", self.mongrel2.root]
        try:
            super().__init__(form, app, *specs, *options, bind=(), **keywords)
        except BaseException:
            self.mongrel2.stop()
            raise
        # Those to Mongrel2, if they were not there yet, and a pair for each request that runs at once, which is kept.
        self._resources["socket"] += 2 + 2 * 16
        self.port = self.mongrel2.port
        self.url = self.mongrel2.url

    def stop(self):
        try:
            return super().stop()
        finally:
            print(f"--- Mongrel2 ---\n{self.mongrel2.stop()[-4000:]}")
