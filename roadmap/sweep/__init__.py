"""Every step of a roadmap with every seed: what to run, what it costs, running it, watching it.

A run is a folder of ``results/runs``; what has been done is read from there, so a sweep that was
stopped, or that died, is continued by the same command.
"""
