"""`blemish predict`: a trained model on any images, for use and for pre-annotation."""
