"""Its import raises, two calls deep."""


def configure():
    raise RuntimeError("no configuration, on purpose")


configure()
