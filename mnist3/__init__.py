"""mnist3: reading handwritten digits, one or several in an image, with JAX and Flax."""
