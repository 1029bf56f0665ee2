"""How the shipped weights are made. Not needed to run the program, and imported by no other part of it."""
