"""subscribes.py with everything patched."""

from gowsgi.patch import patch_all

patch_all()

from subscribes import application  # noqa: E402

__all__ = ["application"]
