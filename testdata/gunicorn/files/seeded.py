"""Connections and random numbers are each worker's own; the file has helpers and names that are no settings."""

import random

import noted

NOT_A_SETTING = object()
workers = 2
connection = {"opened in": None}


def _connect(where):
    connection["opened in"] = where


def pre_fork(server, worker):
    _connect(None)


def post_fork(server, worker):
    random.seed(worker.age)
    _connect(worker.age)
    noted.note("post_fork", number=random.random(), connection=connection)


def worker_exit(server, worker):
    noted.note("worker_exit", mine=connection["opened in"] == worker.age)
