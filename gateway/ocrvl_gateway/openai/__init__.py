"""OpenAI's chat completions, as vLLM's server has them for this model."""
