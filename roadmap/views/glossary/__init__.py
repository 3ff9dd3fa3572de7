"""The glossary: terms of the field, each with a definition and a drawing. Imports no torch."""
