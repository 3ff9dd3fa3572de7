"""The explorer's pages, one folder each; ``common`` holds what they share."""
