"""Where published archives come from, and how one is fetched, verified and unpacked.

Asked in order: BLEMISH_MIRROR (a folder or a URL prefix), what the user put into
`data/downloads/`, the public URLs. An archive is hostile input until its checksum is right, and
its member names stay hostile after that.
"""
