"""Training data: sources, decoding, augmentation, batches.

``sources`` finds a data set, ``split`` describes it, ``in_memory`` and ``on_demand`` read it,
``pipeline`` augments, and ``batches`` is the interface for training. ``sampling`` draws which
images a batch has and all of their random parameters.
"""
