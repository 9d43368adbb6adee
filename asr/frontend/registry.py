"""Front ends by the short names that recipes use.

A new one is a file with one class and one decorator, imported in `asr/frontend/__init__.py`.
"""

from __future__ import annotations

from typing import Any

from asr.frontend.protocol import Frontend, FrontendConfig
from asr.registry import Registry

FRONTENDS: Registry[Frontend] = Registry("frontend", default="kaldi")

#: Makes `type: name` in a recipe build the decorated class as `cls(config)`.
register_frontend = FRONTENDS.register


def frontend_config(values: Any) -> FrontendConfig:
    """The configuration of the front end that `values` describe; see `parse_typed`."""
    config = FRONTENDS.config(values)
    assert isinstance(config, FrontendConfig)
    return config
