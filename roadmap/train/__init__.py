"""Training of any step with any recipe.

A training reads in this order: ``commands`` parses the options into ``settings``; ``run`` opens the
data (``data.batches``), the run's folder (``opening``) and the network with its optimizer
(``trainer``); ``loop`` trains by ``trainer.step``, and ``recorder`` writes what happens.
"""
