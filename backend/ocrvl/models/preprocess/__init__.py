"""`preprocess`: encoded images in, patches and the checked request out."""
