"""DLAS-Net, as published. The specification's sections are named where the code follows them."""
