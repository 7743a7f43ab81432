"""FCN-GoogLeNet, semantic segmentation. `from fcn import Segmenter` is what Python programs need of it.

Names are loaded when they are asked for, so that `import fcn` takes no time.
"""
import importlib
from typing import Any, List

__all__ = ['InputError', 'Segmenter']
_MODULES = {'InputError': 'fcn.utils.errors', 'Segmenter': 'fcn.segmenter'}


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f'module {__name__!r} has no attribute {name!r}')
    globals()[name] = getattr(importlib.import_module(_MODULES[name]), name)
    return globals()[name]


def __dir__() -> List[str]:
    return sorted({*globals(), *__all__})
