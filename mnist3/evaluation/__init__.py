"""From predictions and labels to metrics."""
