"""Views -> SVG: one function a picture, in milliseconds. Hover titles; light and dark; no script."""
