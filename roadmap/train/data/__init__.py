"""The images of a training: where they are, decoding, augmentation, batches.

``sources`` finds a data set, ``split`` is what was found, ``in_memory`` and ``on_demand`` read it,
``pipeline`` augments, ``batches`` is the face that training uses. Which images a batch has and what
chance decides about them is in ``sampling``.
"""
