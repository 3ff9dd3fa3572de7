"""A network as one readable Python file that needs torch alone. Nothing here needs torch."""

from models.source.module import network_source

__all__ = ["network_source"]
