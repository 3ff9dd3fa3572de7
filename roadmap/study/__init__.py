"""Designed experiments over networks and recipes, to estimate what each change is worth.

``space`` has the factors and their levels, ``design`` the planned runs, ``model`` the fitted model.
"""
