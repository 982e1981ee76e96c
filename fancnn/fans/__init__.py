"""The built-in sample data: rendered photographs of PC cooling fans, good (GO) and defective (NG).

`render_fans` writes a set as the docstring of `fancnn.rendering` describes it. A mask holds the pixels whose colour the
defect changes by more than four grey levels before the camera adds blur and noise; for a turned or missing label it
holds the whole area of the label.
"""
