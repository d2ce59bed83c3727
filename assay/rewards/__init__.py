"""Rewards: named parts of a completion's worth, composed by weights."""
