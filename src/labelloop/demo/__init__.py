"""The demonstration: real images, a real model, real servers."""
