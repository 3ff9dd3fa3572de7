"""Drawings of the glossary, one function per term, each a complete SVG."""
