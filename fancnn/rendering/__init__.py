"""Write rendered sample sets to disk: images, masks of their defects, and a table with the truth about them.

A set named `fan` reads like any other folder of images per class:

    fans/
      GO/fan_00000.jpg                       good parts
      NG/blade_chipped/fan_00001.jpg         parts with exactly one defect, in a folder per kind
      .masks/blade_chipped/fan_00001.png     255 where the defect is, 0 elsewhere; hidden, so no class
      fans.csv                               one row per image, by number

Columns of `fans.csv`:

    file         image, relative to the folder, with forward slashes
    class        GO or NG
    defect_type  kind of the defect; empty for GO, as are all the following but version
    severity     square root of the number of pixels that the defect changes, in pixels
    x0,y0,x1,y1  box round the mask in pixels from the top left corner; x1 and y1 lie just outside
    mask         mask, relative to the folder, with forward slashes
    version      version of the renderer; images of different versions differ
"""
