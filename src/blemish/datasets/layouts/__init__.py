"""What several data sets' archives share: folder layouts, boxes, tiles."""
