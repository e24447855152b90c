"""GLASS (ECCV 2024). The specification's sections are named where the code follows them."""
