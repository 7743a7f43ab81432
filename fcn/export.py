"""Keeps `from fcn.export import Exported` of people's scripts working; new ones take it from its module."""
from fcn.inference.saved_model import Exported  # noqa: F401
