"""What `ocrvl read` does, in the order in which it does it.

problems    what can go wrong, and the exit status that says so
sources     arguments to inputs: files, folders, patterns, URLs, standard input
several     images one after another in one stream
stdin       standard input
download    a URL's bytes
asked       what is wanted of each input
places      which input has which name in the output folder
noted       the lines of the record
record      what is done there
batch       inputs to results: many at a time, in order, past what cannot be read
render      results as text, Markdown and JSON
html        Markdown as a page of its own
writing     files whole or not at all
progress    the bar
connection  the client, and why there is no server
"""
