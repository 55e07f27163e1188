"""Starting a Triton server on this machine: `locate` it, prepare its `runtime`, run it (`server`), read its `log`."""
