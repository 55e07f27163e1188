"""A model repository for one machine.

The `options`, what the checkpoint allows (`checks`), the sizes that follow (`plan`), the files
(`render`), the folder that holds them (`folder`), and all of it in order (`make`).
"""
