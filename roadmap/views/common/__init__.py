"""What pages share: addresses, bounds, figures, markup, uploads, the style."""
