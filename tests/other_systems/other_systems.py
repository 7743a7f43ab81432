"""A pytest plugin beside sitecustomize.py: leaves out the tests that themselves use what is taken out there."""
import inspect
import re

import pytest
from sitecustomize import HIDDEN, TAKEN

USED = re.compile('|'.join(r'\b%s\.%s\b' % (module, name) for module, names in TAKEN.items() for name in names)
                  + r'|\b(%s)\.|samefile|`ulimit -v` leaves' % '|'.join(HIDDEN))  # of links, and of `resource`


def pytest_collection_modifyitems(items):
    for item in items:
        found = USED.search(inspect.getsource(item.function))
        if found:
            item.add_marker(pytest.mark.skip(reason='the test itself uses ' + found.group()))
