"""Rendered displays: test patterns seen by an inspection camera, with defects and pixel masks.

Importing this package or its `options` loads no image library; `render.render_set` does the work.
"""
