"""The environment of the application, with names that the server knows as well."""

import os

import noted

os.environ["SITE_FROM_FILE"] = "set by the file"
raw_env = ["SITE_A=1", "SITE_B=two words", "SITE_URL=postgres://u:p@h/db?x=y", "SITE_FROM_FILE=set by raw_env"]
chdir = "elsewhere"


def on_starting(server):
    noted.note("on_starting", env=server.cfg.env, cwd=os.path.basename(os.getcwd()))


def post_fork(server, worker):
    os.environ["SITE_WORKER"] = str(worker.age)
    noted.note("post_fork", env={name: value for name, value in os.environ.items() if name.startswith("SITE_")})
