"""``predict.py --serve``: a page on which a photo is dropped and its poses are seen."""
