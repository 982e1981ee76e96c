"""Take filters out of a trained network, and measure what that costs and saves."""
