"""Choose the thresholds and the calibration of a trained run."""
