"""What rooms hand to each other: specs, records, manifests and the error tree.

Imports the standard library and pydantic only.
"""
