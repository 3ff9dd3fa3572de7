"""The explorer's pages, one folder each, and in ``common`` what they share."""
