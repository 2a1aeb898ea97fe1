"""From a config and data to a trained model."""
