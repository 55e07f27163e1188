# syntax=docker/dockerfile:1
# Triton with vLLM, from NVIDIA, and this package. Older images than 26.07 have known remote holes (docs/security.md).
# A digest makes a build the same whenever it is made; how to choose another is in docs/deploying.md.
ARG TRITON=nvcr.io/nvidia/tritonserver:26.07-vllm-python-py3@sha256:31e20bfbc65055d6b85553a00d45342a62c506874aa996c11ae53650151f05b1
ARG PYTHON=python:3.12-slim@sha256:e5c9fa26ffb76e11e0f054f30dc2523a2f9693f0c36c0cf1e39b27e152d899fc

FROM ${PYTHON} AS wheel
WORKDIR /source
COPY requirements/build.lock.txt ./
RUN pip install --no-cache-dir --no-deps --require-hashes -r build.lock.txt
COPY pyproject.toml README.md LICENSE ./
COPY backend backend
COPY cli cli
COPY client client
COPY gateway gateway
COPY receipts receipts
COPY model_repository model_repository
RUN pip wheel --no-cache-dir --no-deps --no-build-isolation --wheel-dir /wheels .

FROM ${TRITON}
ARG VERSION=0.1.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="ocrvl" \
      org.opencontainers.image.description="PaddleOCR-VL on Triton Inference Server, with vLLM as its engine" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
USER 0
# for PDFs in Chinese, Japanese or Korean that do not carry their font
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends fonts-wqy-zenhei \
    && rm -rf /var/lib/apt/lists/*
# vLLM, torch and NumPy are the image's own: --no-deps keeps them as NVIDIA built them together. PaddleX wants OpenCV
# with its contributed modules, and two OpenCV wheels overwrite each other.
COPY requirements/container.lock.txt /tmp/
COPY --from=wheel /wheels /tmp/wheels
RUN pip uninstall --yes opencv-python-headless opencv-python \
    && pip install --no-cache-dir --no-deps --require-hashes -r /tmp/container.lock.txt \
    && pip install --no-cache-dir --no-deps --no-index /tmp/wheels/*.whl \
    && rm -r /tmp/container.lock.txt /tmp/wheels
# Numbers, so that Kubernetes knows that it is not root. What may be written: weights in /models, what engines compile
# in /cache, the rest in /tmp; everything else may be read-only.
RUN useradd --no-create-home --home-dir /tmp --uid 10001 ocrvl \
    && install --directory --owner=10001 --group=10001 /models /cache /repository
# `compute` brings CUDA and the daemon of MPS, which `ocrvl serve` starts where engines share a GPU.
ENV HOME=/tmp \
    NVIDIA_DRIVER_CAPABILITIES=compute,utility \
    HF_HOME=/models \
    XDG_CACHE_HOME=/cache \
    PYTHONUNBUFFERED=1
USER 10001:10001
WORKDIR /tmp
VOLUME ["/models"]
EXPOSE 8000 8001 8002
HEALTHCHECK --interval=15s --timeout=15s --start-period=15m --retries=3 CMD ["ocrvl", "probe", "--timeout=10"]
ENTRYPOINT ["ocrvl"]
CMD ["serve", "--host", "0.0.0.0"]
