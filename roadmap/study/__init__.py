"""What each change is worth: a designed experiment over a space of networks and recipes.

``space`` has the factors and their levels, ``design`` the runs, ``model`` what is fitted to them.
"""
