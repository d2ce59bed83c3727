"""The command line. The only room that touches kfp, and only inside functions."""
