"""Comparisons: many trainings of one thing that varies, and what may be concluded from them."""
