"""pytest-vcp: prove with one pytest run that a model package will be accepted by a hub."""

__version__ = "0.1.0"
