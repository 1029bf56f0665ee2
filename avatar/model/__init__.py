"""The networks, and nothing else: no files, no pictures, no devices."""
