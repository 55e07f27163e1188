"""The mini checkpoint: all six tasks on drawn Latin print. README.md beside this file says how it is trained."""
