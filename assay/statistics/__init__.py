"""How sure a figure is: intervals, paired tests, corrections and what they amount to in words. Pure functions."""
