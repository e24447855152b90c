"""`blemish review`: a page on this machine where people confirm or correct what a model decided."""
