# Triton with vLLM, from NVIDIA, and this package. Older images than 26.07 have known remote holes.
ARG TRITON=nvcr.io/nvidia/tritonserver:26.07-vllm-python-py3

FROM python:3.12-slim AS wheel
WORKDIR /source
COPY pyproject.toml README.md LICENSE ./
COPY backend backend
COPY client client
COPY model_repository model_repository
RUN pip wheel --no-cache-dir --no-deps --wheel-dir /wheels .

FROM ${TRITON}
LABEL org.opencontainers.image.title="ocrvl" \
      org.opencontainers.image.description="PaddleOCR-VL on Triton Inference Server, with vLLM as its engine" \
      org.opencontainers.image.licenses="Apache-2.0"
# vLLM, torch and NumPy are the image's own: --no-deps keeps them as NVIDIA built them together. PaddleX wants OpenCV
# with its contributed modules, and two OpenCV wheels overwrite each other.
COPY requirements/container.txt /tmp/requirements.txt
RUN --mount=type=bind,from=wheel,source=/wheels,target=/wheels \
    pip uninstall --yes opencv-python-headless \
    && pip install --no-cache-dir --no-deps -r /tmp/requirements.txt /wheels/*.whl \
    && rm /tmp/requirements.txt \
    && useradd --create-home --uid 10001 ocrvl
USER ocrvl
ENV HF_HOME=/home/ocrvl/models
VOLUME /home/ocrvl/models
EXPOSE 8000 8001 8002
ENTRYPOINT ["ocrvl"]
CMD ["serve", "--host", "0.0.0.0"]
