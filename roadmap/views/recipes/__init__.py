"""The Recipes page: the settings of each recipe, and what it does to pictures."""
