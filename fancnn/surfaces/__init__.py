"""The sample of small defects: rendered photographs of brushed metal, good (GO) and scratched (NG).

`render_surfaces` writes a set as the docstring of `fancnn.rendering` describes it. Holes and prints are on good and on
scratched surfaces alike; a scratch is a few pixels wide and long, whatever the size of the image.
"""
