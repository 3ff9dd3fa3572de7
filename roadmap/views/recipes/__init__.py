"""The page Recipes: what each recipe trains with, and what it does to pictures."""
