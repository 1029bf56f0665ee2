"""The control page: what a run shows and lets be changed in a browser of this machine."""
