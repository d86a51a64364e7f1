"""The pictures of a report, drawn with Vega-Altair: one function a picture.

Importing a module of this package imports Altair; the extra `report` brings it.
"""
