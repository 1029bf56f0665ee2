"""How the shipped weights are made. Not needed to run the program; the command line alone imports it."""
