"""What our engine makes of an image inside: vLLM's own model class, fed as the served engine is fed."""

from __future__ import annotations

import asyncio
import dataclasses
import uuid
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ocrvl.engine_settings import EngineSettings
from ocrvl.messages import PackedImage
from ocrvl.models.engine.vllm_engine import VllmEngine
from perf.parity.reference import FloatArray


@dataclass(frozen=True)
class EngineView:
    """One image inside the engine.

    features   float32 [F, hidden]: what the model's class gave the decoder for the image
    prompt     token ids before the first generated one
    logprobs   float32 [T]: of each token of the reference, given the prompt and those before it
    """

    features: FloatArray
    prompt: list[int]
    logprobs: FloatArray


class FeatureRecorder:
    """Mixed into vLLM's worker (`worker_extension_cls`): keeps what the model makes of the images it is handed.

    It listens on the way that every request takes, so what is compared is what is served. What crosses the process
    border is bytes, since vLLM does not send arrays of unknown origin without pickle.
    """

    def record_features(self) -> None:
        """Begin to listen."""
        model: Any = self.get_model()  # type: ignore[attr-defined] # the worker's own
        embed = model.embed_multimodal
        self._recorded: list[Any] = []

        def embed_and_keep(**inputs: Any) -> Any:
            features = embed(**inputs)
            self._recorded.extend(feature.float().cpu().numpy() for feature in features)
            return features

        model.embed_multimodal = embed_and_keep

    def take_features(self) -> list[tuple[bytes, tuple[int, ...]]]:
        """The float32 features of the images since the last call, as bytes with their shape."""
        taken = [(features.tobytes(), features.shape) for features in self._recorded]
        self._recorded.clear()
        return taken


class EngineProbe:
    """An engine in a process of its own, listened to. `stop` it in the event loop in which it was started."""

    def __init__(self, engine: VllmEngine) -> None:
        self._engine = engine

    @classmethod
    async def start(cls, settings: EngineSettings) -> EngineProbe:
        """Start it with the served engine's own settings."""
        recorder = f"{FeatureRecorder.__module__}.{FeatureRecorder.__qualname__}"
        args = {**settings.engine_args, "worker_extension_cls": recorder}
        probe = cls(await asyncio.to_thread(VllmEngine.start, dataclasses.replace(settings, engine_args=args)))
        await probe._engine.llm.collective_rpc("record_features")
        return probe

    async def stop(self) -> None:
        """End the engine."""
        await asyncio.to_thread(self._engine.stop)

    async def look(self, image: PackedImage, tokens: list[int]) -> EngineView:
        """Run one image, with the reference's tokens as if the engine had chosen them (teacher forcing)."""
        from vllm.sampling_params import RequestOutputKind, SamplingParams

        request_id = uuid.uuid4().hex
        engine_input = self._engine.inputs.render(image, None, request_id)
        prompt = list(engine_input["prompt_token_ids"])
        engine_input["prompt_token_ids"] = prompt + tokens
        # 0: the log-probability of the token that is there, and of no other
        params = SamplingParams(
            temperature=0,
            max_tokens=1,
            prompt_logprobs=0,
            detokenize=False,
            output_kind=RequestOutputKind.FINAL_ONLY,
        )
        async for output in self._engine.llm.generate(engine_input, params, request_id):
            answer = output
        logprobs = answer.prompt_logprobs[len(prompt) :]
        return EngineView(
            features=await self._take_features(),
            prompt=prompt,
            logprobs=np.array(
                [entry[token].logprob for entry, token in zip(logprobs, tokens, strict=True)], np.float32
            ),
        )

    async def _take_features(self) -> FloatArray:
        # one answer a worker; with tensor parallelism all workers hold the same features
        taken, *_ = await self._engine.llm.collective_rpc("take_features")
        ((data, shape),) = taken
        features: npt.NDArray[np.float32] = np.frombuffer(data, np.float32).reshape(shape)
        return features
