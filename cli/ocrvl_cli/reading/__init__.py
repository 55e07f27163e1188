"""What `ocrvl read` does, in the order in which it does it.

errors          what can go wrong, and the exit status that says so
sources         arguments to inputs: files, folders, patterns, URLs, standard input
concatenated    images one after another in one stream
stdin           standard input
download        a URL's bytes
read_plan       how each input is read, and what its results are written as
output_names    which input has which name in the output folder
record_entries  the lines of the record
record          what is done there
connection      the client, and why a server cannot be reached
reader          one input
batch           inputs to results: many at a time, in order, past what cannot be read
render          results as text, Markdown and JSON
html            Markdown as a page of its own
output_files    files whole or not at all
progress        the bar
run             a whole run, its output and its exit status
"""
