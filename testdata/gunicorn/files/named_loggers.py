from gunicorn.glogging import Logger


class Counting(Logger):
    def __init__(self, cfg):
        self.counted = {"access": 0, "critical": 0}
        super().__init__(cfg)

    def critical(self, msg, *args, **kwargs):
        self.counted["critical"] += 1
        super().critical(msg, *args, **kwargs)

    def access(self, resp, req, environ, request_time):
        self.counted["access"] += 1
