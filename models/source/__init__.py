"""A network as one readable Python file that only needs torch. Imports no torch itself."""

from models.source.module import network_source

__all__ = ["network_source"]
