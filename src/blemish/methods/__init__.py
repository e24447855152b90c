"""Methods, a folder each, named in `registry`.

A folder has `params`, `detector` (how it scores, see `blemish.methods.detector`), `training` (how
it learns, see `trainer`) and `plain`: the literal method as its specification in docs/spec reads.
"""
