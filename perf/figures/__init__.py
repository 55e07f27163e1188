"""What has been measured, as data: a JSON file for each question, and the tables that the documentation has of them.

`python -m perf figures` writes the tables; benchmarks add files with `--save`.
"""
