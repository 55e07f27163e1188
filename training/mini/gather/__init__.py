"""What the drawn world is made of, brought from Debian's packages into a folder that travels: fonts and prose."""
