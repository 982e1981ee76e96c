"""Thresholds, calibration, certificates, and what a line may expect of them; pure, no torch."""
