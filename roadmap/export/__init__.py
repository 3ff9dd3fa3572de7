"""Exports of networks to files, each checked against the network before it is written."""
