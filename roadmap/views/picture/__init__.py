"""Picture: a picture in two trained networks, from their stages to one value as a sum."""
