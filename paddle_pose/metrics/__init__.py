"""Predictions × truth → numbers; pure functions without Paddle."""
