"""Digit sources, number datasets and what is done to them before a model sees them."""
