"""Bursts: several decoding steps for one turn of the host.

PaddleOCR-VL's decoder takes a GPU 1.0 to 1.4 ms a step, and vLLM's host 2 to 4 ms. Where all that an engine does is
generate, the scheduler gives each request K places instead of one (`scheduler`), and the model runner runs the first
step as ever and K - 1 more after it on the device, from the token before to the next (`runner`, `inner_steps`). VLLM
takes what a burst brings as it takes accepted tokens of speculative decoding, so texts end where they end.
"""
