"""What the pages share: URL state, bounds, figures, tables, markup, uploads and the style."""
