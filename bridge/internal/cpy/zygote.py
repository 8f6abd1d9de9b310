# In the program, what a process without Go runs that workers are to be forked from (embed_zygote.c): it makes the
# package gowsgi importable, from what the master sent, and leaves the rest to gowsgi._zygote. Returns in each worker.
def begin():
    import json
    import os
    import types

    _, link, told = os.environ.pop("GOWSGI_ZYGOTE").split(":")
    with open(int(told), "rb") as file:
        told = json.loads(file.read().split(b"\0")[-1].decode())
    files = {name: text.encode() for name, text in told["files"].items()}
    told["files"] = None
    files[""] = "\n".join(files).encode()
    support = types.ModuleType("_gowsgi_zygote")
    support.__file__ = "<gowsgi>"
    code = compile(told["support"], "<gowsgi>", "exec", dont_inherit=True)
    exec(code, support.__dict__)
    support.native = types.SimpleNamespace(carried=files.get)
    support.carry(told["version"])
    from gowsgi import _zygote

    _zygote.main(int(link), told["late"], support, code)


begin()
del begin
