"""Other annotation formats → MPII's or COCO's layout, as ``data`` reads them."""
