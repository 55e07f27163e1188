"""HTTP in front of Triton for those who do not speak its protocol: OpenAI's, PaddleOCR's service's, and a web page.

Folders are in the order in which a request passes them: `middleware` checks it before it is parsed, `openai`, `paddle`
and `web` each speak one protocol, and all of them ask the server through one `Reader`, the SDK's `AsyncClient`.
"""
