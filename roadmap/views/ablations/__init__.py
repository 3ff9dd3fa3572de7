"""The page Ablations: trained runs, and trainings from the page."""
